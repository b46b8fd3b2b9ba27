"""Rows of a batch with the declared types: what cannot be read as declared is an error, never a silent null."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.batch_files import Layout, check_names, csv_delimiter, file_size, spark_path
from lakeloop.domain.batch import Batch
from lakeloop.domain.dialects import SPARK
from lakeloop.domain.errors import UserError
from lakeloop.domain.labels import quoted, text_literal
from lakeloop.domain.time_formats import instant
from lakeloop.domain.use_case import FilesSource, UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPARK_TYPES = {"long": "bigint"}
_BAD_LINE = "_unreadable_line"
_SPLIT_BYTES = (
    128 * 2**20
)  # Spark's own split: a smaller file is one task anyway, so quoted line breaks cost nothing


def typed_rows(spark: SparkSession, use_case: UseCase, batch: Batch, layouts: Sequence[Layout]) -> DataFrame:
    """The declared columns with the declared types; evaluating it fails on the first value that does not fit."""
    frames = [
        _frame(spark, use_case, batch, layout, strict=True).selectExpr(*_typed(use_case, batch, layout))
        for layout in layouts
    ]
    return reduce(lambda a, b: a.unionByName(b), frames)


def check_keys(spark: SparkSession, use_case: UseCase, batch: Batch) -> None:
    """JSON lines have no header: compare the keys of all lines with the declared columns.

    Raises:
        UserError: a column is in no line, or a key is not declared.
    """
    lines = spark.read.text([spark_path(f) for f in batch.files])
    keys = lines.selectExpr("explode(json_object_keys(value)) AS name").distinct().collect()
    check_names(use_case, sorted(row["name"] for row in keys), ", ".join(batch.files[:3]))


def explain_failure(spark: SparkSession, use_case: UseCase, batch: Batch, layouts: Sequence[Layout]) -> None:
    """One pass that finds, a column, how many values do not fit, and an example with its file.

    Raises:
        UserError: there are such values or lines; returns when everything fits.
    """
    problems = [p for layout in layouts for p in _misfits(spark, use_case, batch, layout)]
    if problems:
        raise UserError(
            "; ".join(problems),
            where=f"batch {batch.batch_id}",
            fix="correct the file, or declare the right type in table.columns",
        )


def _misfits(spark: SparkSession, use_case: UseCase, batch: Batch, layout: Layout) -> list[str]:
    frame = _frame(spark, use_case, batch, layout, strict=False)
    tests = {c: _misfit(use_case, batch, layout, c) for c in use_case.table.columns}
    if batch.format != "parquet":
        tests[_BAD_LINE] = f"{quoted(_BAD_LINE)} IS NOT NULL"
    aggregates = []
    for index, (column, test) in enumerate(tests.items()):
        example = f"struct(CAST({quoted(column)} AS STRING) AS value, _metadata.file_path AS file)"
        aggregates += [
            f"count_if({test}) AS n{index}",
            f"first(CASE WHEN {test} THEN {example} END, true) AS e{index}",
        ]
    found = frame.selectExpr(*aggregates).first()
    return [_told(use_case, c, found[f"n{i}"], found[f"e{i}"]) for i, c in enumerate(tests) if found[f"n{i}"]]


def _told(use_case: UseCase, column: str, count: int, example: Any) -> str:
    value, place = str(example["value"])[:80], example["file"]
    if column == _BAD_LINE:
        return f"{place}: {count} lines cannot be read with these columns, e.g. {value!r}"
    kind = use_case.kind_as_written(column)
    return f"{place}: column {column!r}: {count} values are no {kind}, e.g. {value!r}"


def _frame(
    spark: SparkSession, use_case: UseCase, batch: Batch, layout: Layout, *, strict: bool
) -> DataFrame:
    """Raw rows: text for CSV and JSON, the file's own types for Parquet."""
    paths = [spark_path(uri) for uri in layout.files]
    if batch.format == "parquet":
        # Spark cannot read Parquet's nanoseconds (pandas writes them) but as numbers.
        spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
        return spark.read.parquet(*paths)
    columns = layout.columns or tuple(use_case.table.columns)
    schema = ", ".join(f"{quoted(c)} STRING" for c in columns)
    reader = spark.read.option("mode", "FAILFAST" if strict else "PERMISSIVE")
    if not strict:
        schema += f", {_BAD_LINE} STRING"
        reader = reader.option("columnNameOfCorruptRecord", _BAD_LINE)
    if batch.format == "json":
        return reader.schema(schema).json(paths)
    reader = reader.option("header", "true").option("sep", csv_delimiter(use_case)).option("escape", '"')
    one_task_a_file = max(file_size(uri) for uri in layout.files) <= _SPLIT_BYTES
    reader = reader.option("columnPruning", "false").option("multiLine", str(one_task_a_file).lower())
    return reader.schema(schema).csv(paths)


def _typed(use_case: UseCase, batch: Batch, layout: Layout) -> list[str]:
    columns = use_case.table.columns
    return [f"{_strict(use_case, c, _raw(use_case, batch, layout, c))} AS {quoted(c)}" for c in columns]


def _strict(use_case: UseCase, column: str, raw: str) -> str:
    """The value with the declared type; evaluating it fails where the raw one does not fit."""
    kind, written = use_case.table.columns[column], use_case.time_format(column)
    if written is None:
        return f"CAST({raw} AS {_spark(kind)})"
    value = f"CAST({instant(SPARK, raw, written)} AS {kind})"
    failing = SPARK.failing(f"column {column}: not written as {written}")
    return f"CASE WHEN {raw} IS NULL OR {value} IS NOT NULL THEN {value} ELSE {failing} END"


def _misfit(use_case: UseCase, batch: Batch, layout: Layout, column: str) -> str:
    raw, written = _raw(use_case, batch, layout, column), use_case.time_format(column)
    kind = _spark(use_case.table.columns[column])
    value = f"try_cast({raw} AS {kind})" if written is None else instant(SPARK, raw, written)
    return f"({raw} IS NOT NULL AND {value} IS NULL)"


def _raw(use_case: UseCase, batch: Batch, layout: Layout, column: str) -> str:
    if batch.format == "csv" and isinstance(use_case.source, FilesSource) and use_case.source.null_values:
        nulls = ", ".join(map(text_literal, use_case.source.null_values))
        return f"CASE WHEN {quoted(column)} NOT IN ({nulls}) THEN {quoted(column)} END"
    if column in layout.nanosecond_columns:
        return f"timestamp_micros({quoted(column)} DIV 1000)"
    return quoted(column)


def _spark(column_type: str) -> str:
    return SPARK_TYPES.get(column_type, column_type)
