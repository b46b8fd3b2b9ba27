"""Where a refused batch is kept: its rows, each with the rules that it breaks, and what every rule found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyarrow import fs

from lakeloop.adapters.spark.batch_files import spark_path
from lakeloop.domain.batch import Batch, RuleResult
from lakeloop.domain.expectations import row_rules
from lakeloop.domain.labels import quoted, text_literal
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BROKEN_RULES_COLUMN = "_broken_rules"


def keep_refused(
    rows: DataFrame, settings: Settings, use_case: UseCase, batch: Batch, rules: tuple[RuleResult, ...]
) -> str:
    """Write `rows/` (Parquet, with `_broken_rules`) and `rules.json`; again replaces them.

    Returns:
        URI of the folder.
    """
    uri = f"{settings.staging.rstrip('/')}/quarantine/{use_case.name}/{batch.batch_id}"
    listed = rows.selectExpr("*", f"{_broken_rules(use_case)} AS {BROKEN_RULES_COLUMN}")
    listed.write.mode("overwrite").parquet(spark_path(f"{uri}/rows"))
    document = {
        "use_case": use_case.name,
        "batch": batch.model_dump(mode="json"),
        "rules": [rule.model_dump(mode="json") for rule in rules],
    }
    filesystem, path = fs.FileSystem.from_uri(uri)
    filesystem.create_dir(path, recursive=True)
    with filesystem.open_output_stream(f"{path}/rules.json") as stream:
        stream.write(json.dumps(document, indent=2, ensure_ascii=False).encode())
    return uri


def _broken_rules(use_case: UseCase) -> str:
    tests = [f"CASE WHEN {rule.broken} THEN {text_literal(rule.name)} END" for rule in row_rules(use_case)]
    if unique := use_case.expectations.unique:
        columns = ", ".join(map(quoted, unique))
        name = text_literal(f"unique({', '.join(unique)})")
        tests.append(f"CASE WHEN count(1) OVER (PARTITION BY {columns}) > 1 THEN {name} END")
    return f"filter(array({', '.join(tests)}), rule -> rule IS NOT NULL)"
