"""Source rows -> feature rows: the one place that applies a feature table's expressions, and its looks back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import TYPE_CHECKING

from lakeloop.domain.feature_table import FeatureTable
from lakeloop.domain.past_columns import AT, BOTH, LOOKS, ROLE, SEEN, PastColumns
from lakeloop.domain.snapshots import RANGE_ID_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    Stream = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_PLACE = "_past_place"
_MOST_LISTED = 500
IN_MEMORY_ROWS = 1_000_000
"""Up to so many rows in all, none of which is in a partition twice, an executor's Python holds a partition at once."""


def feature_rows(
    source: DataFrame,
    table: FeatureTable,
    range_id: str,
    history: DataFrame | None = None,
    rows_at_most: int | None = None,
) -> DataFrame:
    """The table's columns, `_range_id` last; rows without a label are still there.

    One shuffle an entity that features look at, each with all of that entity's features.

    Args:
        source: rows of the range.
        table: with the expressions in Spark's SQL.
        range_id: of the range.
        history: all rows of the table up to the range's end, those of the range included; None where `source` is that.
        rows_at_most: of both; None where nobody knows. Few rows are sorted by numpy, many by Spark, which spills: one
            entity may have most of them.
    """
    from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

    own = [F.expr(c.sql).alias(c.name) for c in table.columns if c.sql is not None]
    hidden = {alias: sql for past in table.past for alias, sql in _prefixed(past, table).items()}
    rows = source.select(*own, *(F.expr(sql).alias(alias) for alias, sql in hidden.items()))
    few = rows_at_most is not None and rows_at_most <= IN_MEMORY_ROWS
    for past in table.past:
        seen = None if history is None else _seen(history, source, past, few=few)
        rows = _looked_back(rows, table, past, seen, few=few)
    return rows.select(*(F.col(f"`{c.name}`") for c in table.columns), F.lit(range_id).alias(RANGE_ID_COLUMN))


def _prefixed(past: PastColumns, table: FeatureTable) -> dict[str, str]:
    number = table.past.index(past)
    return {f"_{number}{alias}": sql for alias, sql in past.sql.items()}


def _seen(history: DataFrame, source: DataFrame, past: PastColumns, *, few: bool) -> DataFrame:
    """Rows that can be looked at: of the range's entities only, and of those with a time only."""
    wanted = source.selectExpr(*(f"{sql} AS {alias}" for alias, sql in past.entity.items())).dropna()
    if not few:
        history = _near(history, wanted, past)
    rows = history.selectExpr(*(f"{sql} AS {alias}" for alias, sql in past.sql.items()))
    return rows.where(f"{AT} IS NOT NULL").join(wanted, list(past.entity), "left_semi")


def _near(history: DataFrame, wanted: DataFrame, past: PastColumns) -> DataFrame:
    """Without files and row groups that Iceberg can leave out by their bounds or buckets.

    For that, a few entities are listed, and many are bounded by the smallest and the largest.
    """
    from pyspark.sql import functions as F  # noqa: N812

    name, first = past.source_entity[0], next(iter(past.entity))
    listed = [row[0] for row in wanted.select(first).distinct().limit(_MOST_LISTED + 1).collect()]
    if len(listed) <= _MOST_LISTED:
        return history.where(F.col(f"`{name}`").isin(listed))
    low, high = wanted.selectExpr(f"min({first})", f"max({first})").collect()[0]
    return history.where(F.col(f"`{name}`").between(F.lit(low), F.lit(high)))


def _looked_back(
    rows: DataFrame, table: FeatureTable, past: PastColumns, seen: DataFrame | None, *, few: bool
) -> DataFrame:
    """The rows with this entity's features instead of its hidden columns."""
    from pyspark.sql import functions as F  # noqa: N812
    from pyspark.sql.types import StructType

    names = _prefixed(past, table)
    for alias, plain in zip(names, past.sql, strict=True):
        rows = rows.withColumnRenamed(alias, plain)
    keep = [c for c in rows.columns if c not in past.sql]
    rows = rows.withColumn(ROLE, F.lit(BOTH if seen is None else LOOKS).cast("tinyint"))
    if seen is not None:
        seen = seen.withColumn(ROLE, F.lit(SEEN).cast("tinyint"))
        rows = rows.unionByName(seen, allowMissingColumns=True)
    kept = StructType([f for f in rows.schema.fields if f.name in keep])
    for feature in past.features:
        kept = kept.add(feature.name, "string" if feature.value in past.texts else "double")
    together = _together(rows, past)
    if not few:
        together = together.sortWithinPartitions(*past.entity, AT, *past.keys, *past.values, ROLE)
    return together.drop(_PLACE).mapInArrow(_stream(past, [f.name for f in kept.fields], few=few), kept)


def _together(rows: DataFrame, past: PastColumns) -> DataFrame:
    """Rows of an entity in one partition. Those without a place are spread, not heaped."""
    from pyspark.sql import functions as F  # noqa: N812

    known = reduce(lambda a, b: a & b, (F.col(c).isNotNull() for c in (*past.entity, AT)))
    place = F.when(known, F.xxhash64(*past.entity)).otherwise(F.xxhash64(*past.keys, AT))
    return rows.withColumn(_PLACE, place).repartition(_PLACE)


def _stream(past: PastColumns, keep: list[str], *, few: bool) -> Stream:
    """What an executor does with a partition: few rows at once; many, which come in order, batch by batch."""

    def look_back(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from lakeloop.domain.past import with_past
        from lakeloop.domain.past_in_memory import with_past_at_once

        return (with_past_at_once if few else with_past)(batches, past, keep)

    return look_back
