"""Rows of a batch with the declared types, read in this process: what is not plainly a value of its type is an error.

Spark reads more spellings of a number or a time than anybody should rely on. Of text, only the plain ones are read here
(ISO 8601 dates and times, decimal numbers, true and false); anything else is for Spark to read or to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from lakeloop.adapters.in_process.tables import NotInProcessError
from lakeloop.adapters.spark.batch_files import Layout, csv_delimiter
from lakeloop.domain.batch import Batch
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.errors import UserError
from lakeloop.domain.time_formats import instant
from lakeloop.domain.use_case import FilesSource, UseCase
from lakeloop.generation.rows import arrow_schema

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PLAIN = {
    "boolean": "(?i:true|false)",
    "int": r"[+-]?\d{1,10}",
    "long": r"[+-]?\d{1,19}",
    "float": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?",
    "double": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?",
    "date": r"\d{4}-\d{2}-\d{2}",
    "timestamp": r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}:\d{2})?",
}
_SQL_TYPES = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "REAL",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
}


class OddTextError(UserError):
    """Text that is not plainly a value of its column's type; nothing was written. Spark may see a value in it."""


def typed_rows(use_case: UseCase, batch: Batch, layouts: Sequence[Layout]) -> pa.Table:
    """The declared columns with the declared types, in the order of the files.

    Raises:
        UserError: values do not fit; says how many of which column, with an example and its file. An OddTextError
            where the files are text.
        NotInProcessError: the files are of a kind that is left to Spark.
    """
    import pyarrow as pa

    if batch.format == "json":
        raise NotInProcessError("JSON lines are left to Spark", where=f"batch {batch.batch_id}")
    read = _parquet if batch.format == "parquet" else partial(_csv, use_case)
    problems, tables = list[str](), list[pa.Table]()
    for layout in layouts:
        for uri in layout.files:
            tables.append(_typed(use_case, read(uri, layout), uri, problems, texts=batch.format == "csv"))
    if problems:
        kind = UserError if batch.format == "parquet" else OddTextError
        raise kind(
            "; ".join(problems),
            where=f"batch {batch.batch_id}",
            fix="correct the file, or declare the right type in table.columns",
        )
    return pa.concat_tables(tables)


def _parquet(uri: str, layout: Layout) -> pa.Table:  # noqa: ARG001
    from pyarrow import fs, parquet

    filesystem, path = fs.FileSystem.from_uri(uri)
    return parquet.read_table(path, filesystem=filesystem)


def _csv(use_case: UseCase, uri: str, layout: Layout) -> pa.Table:
    """Text columns as they are; a line with more or fewer fields than the header is an error."""
    import pyarrow as pa
    from pyarrow import csv, fs

    names = list(layout.columns)
    filesystem, path = fs.FileSystem.from_uri(uri)
    nulls = use_case.source.null_values if isinstance(use_case.source, FilesSource) else ("",)
    try:
        with filesystem.open_input_stream(path, compression="detect") as stream:
            return csv.read_csv(
                stream,
                csv.ReadOptions(column_names=names, skip_rows=1, block_size=2**26),
                csv.ParseOptions(delimiter=csv_delimiter(use_case), newlines_in_values=True),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[*nulls],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return pa.table({name: pa.array([], pa.string()) for name in names})
        raise NotInProcessError(f"the file needs Spark to be read: {error}", where=uri) from error


def _typed(use_case: UseCase, raw: pa.Table, uri: str, problems: list[str], *, texts: bool) -> pa.Table:
    """Raw columns cast one by one; what does not fit is told in `problems`."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("raw", raw)
        columns = use_case.table.columns
        values = {
            name: _value(name, kind, use_case.time_format(name), texts=texts)
            for name, kind in columns.items()
        }
        misfits = _misfits(connection, values)
        for name, (count, example) in misfits.items():
            kind = use_case.kind_as_written(name)
            problems.append(f"{uri}: column {name!r}: {count} values are no {kind}, e.g. {example!r}")
        if misfits:
            return raw.slice(0, 0).select([])
        listed = ", ".join(f"{sql} AS {DUCKDB.quoted(name)}" for name, sql in values.items())
        rows = connection.sql(f"SELECT {listed} FROM raw").to_arrow_table()  # noqa: S608 - quoted names
    return rows.cast(arrow_schema(use_case))


def _misfits(connection: duckdb.DuckDBPyConnection, values: dict[str, str]) -> dict[str, tuple[int, str]]:
    """Column -> how many of its values do not fit, and one of them; in one pass."""
    parts = []
    for name, sql in values.items():
        column = DUCKDB.quoted(name)
        misfit = f"({column} IS NOT NULL AND {sql} IS NULL)"
        parts += [
            f"count(*) FILTER ({misfit})",
            f"first(left(CAST({column} AS VARCHAR), 80)) FILTER ({misfit})",
        ]
    found = connection.execute(f"SELECT {', '.join(parts)} FROM raw").fetchall()[0]  # noqa: S608
    pairs = dict(zip(values, zip(found[::2], found[1::2], strict=True), strict=True))
    return {name: (int(count), str(example)) for name, (count, example) in pairs.items() if count}


def _value(name: str, kind: str, time_format: str | None, *, texts: bool) -> str:
    column = DUCKDB.quoted(name)
    if time_format is not None:
        return f"CAST({instant(DUCKDB, column, time_format)} AS {_SQL_TYPES[kind]})"
    cast = f"TRY_CAST({column} AS {_SQL_TYPES[kind]})"
    if not texts or kind == "string":
        return cast
    return f"CASE WHEN regexp_full_match({column}, {DUCKDB.text(_PLAIN[kind])}) THEN {cast} END"
