"""The rows of a refused batch, each with the rules that it breaks, written in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakeloop.adapters.files.quarantine import BROKEN_RULES_COLUMN, quarantine_uri, write_rules
from lakeloop.domain.batch import Batch, RuleResult
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.expectations import row_rules
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


def keep_refused(
    rows: pa.Table, settings: Settings, use_case: UseCase, batch: Batch, rules: tuple[RuleResult, ...]
) -> str:
    """Write `rows/` (Parquet, with `_broken_rules`) and `rules.json`; again replaces them.

    Returns:
        URI of the folder.
    """
    import duckdb
    from pyarrow import fs, parquet

    uri = quarantine_uri(settings, use_case, batch)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("staged", rows)
        query = f"SELECT *, {_broken_rules(use_case)} AS {BROKEN_RULES_COLUMN} FROM staged"  # noqa: S608 - quoted names
        listed = connection.sql(query).to_arrow_table()
    filesystem, path = fs.FileSystem.from_uri(f"{uri}/rows")
    filesystem.create_dir(path, recursive=True)
    filesystem.delete_dir_contents(path)
    parquet.write_table(listed, f"{path}/part-00000.parquet", filesystem=filesystem, compression="zstd")
    write_rules(uri, use_case, batch, rules)
    return uri


def _broken_rules(use_case: UseCase) -> str:
    tests = [f"CASE WHEN {r.broken} THEN {DUCKDB.text(r.name)} END" for r in row_rules(use_case, DUCKDB)]
    if unique := use_case.expectations.unique:
        columns = ", ".join(map(DUCKDB.quoted, unique))
        name = DUCKDB.text(f"unique({', '.join(unique)})")
        tests.append(f"CASE WHEN count(1) OVER (PARTITION BY {columns}) > 1 THEN {name} END")
    return f"[rule for rule in [{', '.join(tests)}] if rule IS NOT NULL]"
