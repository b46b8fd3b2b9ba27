"""Source rows -> feature rows: the one place that applies a feature table's expressions, and its looks back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from math import ceil
from typing import TYPE_CHECKING, Any

from lakeloop.domain.feature_table import FeatureTable
from lakeloop.domain.past_columns import AT, BOTH, LOOKS, ROLE, SEEN, PastColumns
from lakeloop.domain.snapshots import RANGE_ID_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    Stream = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_PLACE, _FOUND = "_past_place", "_past_found"
_MOST_LISTED = 500
IN_MEMORY_ROWS = 1_000_000
"""Up to so many rows in all, none of which is in a partition twice, an executor's Python holds a partition at once."""
TASK_ROWS = 500_000
FEW_CORES = 4
"""On one machine with no more, reading few rows once a task costs less than a shuffle of them."""


def feature_rows(
    source: DataFrame,
    table: FeatureTable,
    range_id: str,
    history: DataFrame | None = None,
    rows_at_most: int | None = None,
) -> DataFrame:
    """The table's columns, `_range_id` last; rows without a label are still there.

    At most one shuffle an entity that features look at, each with all of that entity's features.

    Args:
        source: rows of the range.
        table: with the expressions in Spark's SQL.
        range_id: of the range.
        history: all rows of the table up to the range's end, those of the range included; None where `source` is that.
        rows_at_most: of both; None where nobody knows. Few rows are sorted by numpy, many by Spark, which spills: one
            entity may have most of them.
    """
    from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

    own, places = _columns(table)
    rows = source.selectExpr(*(f"{sql} AS `{name}`" for name, sql in own.items()))
    few = rows_at_most is not None and rows_at_most <= IN_MEMORY_ROWS
    tasks = _tasks(source, rows_at_most or 0, alone=history is None and len(table.past) == 1) if few else None
    for number, (past, named) in enumerate(zip(table.past, places, strict=True)):
        seen = None if history is None else _seen(history, source, past, named, few=few)
        needed = set(table.types).union(*(other.values() for other in places[number + 1 :]))
        keep = [column for column in rows.columns if column in needed]
        rows = _looked_back(rows, past, named, seen, keep, few=few, tasks=tasks)
    return rows.select(*(f"`{c.name}`" for c in table.columns), F.lit(range_id).alias(RANGE_ID_COLUMN))


def _columns(table: FeatureTable) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Column -> SQL of all that a row says itself, each SQL once; and by entity, which of them a hidden column is."""
    columns = {c.name: c.sql for c in table.columns if c.sql is not None}
    known, places = {sql: name for name, sql in columns.items()}, list[dict[str, str]]()
    for number, past in enumerate(table.past):
        for alias, sql in past.sql.items():
            if sql not in known:
                known[sql] = f"_{number}{alias}"
                columns[known[sql]] = sql
        places.append({alias: known[sql] for alias, sql in past.sql.items()})
    return columns, places


def _tasks(source: DataFrame, rows: int, *, alone: bool) -> int | None:
    """How many tasks read few rows, each all of them, and look back for its own entities; None: they are shuffled.

    More than one only where the rows are read straight from the table.
    """
    context = source.sparkSession.sparkContext
    if not context.master.startswith("local") or context.defaultParallelism > FEW_CORES:
        return None
    return max(1, ceil(rows / TASK_ROWS)) if alone else 1


def _seen(
    history: DataFrame, source: DataFrame, past: PastColumns, named: dict[str, str], *, few: bool
) -> DataFrame:
    """Rows that can be looked at: of the range's entities only, and of those with a time only."""
    from pyspark.sql import functions as F  # noqa: N812

    wanted = source.selectExpr(*(f"{sql} AS {alias}" for alias, sql in past.entity.items())).dropna()
    if not few:
        history = _near(history, wanted, past)
    rows = history.selectExpr(*(f"{sql} AS {alias}" for alias, sql in past.sql.items()))
    rows = rows.where(f"{AT} IS NOT NULL").join(wanted, list(past.entity), "left_semi")
    return rows.select(*(F.col(a).alias(c) for c, a in {c: a for a, c in named.items()}.items()))


def _near(history: DataFrame, wanted: DataFrame, past: PastColumns) -> DataFrame:
    """Without files and row groups that Iceberg can leave out by their bounds or buckets.

    For that, a few entities are listed, and many are bounded by the smallest and the largest. Days and instants are
    not: on their way through Python, those of the first millennium are lost.
    """
    from pyspark.sql import functions as F  # noqa: N812
    from pyspark.sql.types import DatetimeType

    name, first = past.source_entity[0], next(iter(past.entity))
    if isinstance(wanted.schema[first].dataType, DatetimeType):
        return history
    listed = [row[0] for row in wanted.select(first).distinct().limit(_MOST_LISTED + 1).collect()]
    if len(listed) <= _MOST_LISTED:
        return history.where(F.col(f"`{name}`").isin(listed))
    low, high = wanted.selectExpr(f"min({first})", f"max({first})").collect()[0]
    return history.where(F.col(f"`{name}`").between(F.lit(low), F.lit(high)))


def _looked_back(  # noqa: PLR0913
    rows: DataFrame,
    past: PastColumns,
    named: dict[str, str],
    seen: DataFrame | None,
    keep: list[str],
    *,
    few: bool,
    tasks: int | None,
) -> DataFrame:
    """The rows with this entity's features beside the columns that are kept.

    Args:
        rows: with all columns.
        past: what to compute.
        named: hidden column -> the column that it is.
        seen: the rows that can be looked at, with those; None: `rows` are.
        keep: columns of `rows`.
        few: whether a partition is held in memory; else it is sorted by Spark.
        tasks: as `_tasks` has it.
    """
    from pyspark.sql import functions as F  # noqa: N812
    from pyspark.sql.types import StructType

    kept = StructType([f for f in rows.schema.fields if f.name in keep])
    for feature in past.features:
        kept = kept.add(feature.name, "string" if feature.value in past.texts else "double")
    if seen is not None:
        rows = rows.withColumn(ROLE, F.lit(LOOKS).cast("tinyint"))
        seen = seen.withColumn(ROLE, F.lit(SEEN).cast("tinyint"))
        rows = rows.unionByName(seen, allowMissingColumns=True)
    together = _together(rows, past, named, tasks)
    if few and seen is None:
        return _beside(together, past, named, kept)
    if not few:
        together = together.sortWithinPartitions(*_order(past, named, together.columns))
    return together.mapInArrow(_stream(past, named, [f.name for f in kept.fields], few=few), kept)


def _beside(rows: DataFrame, past: PastColumns, named: dict[str, str], kept: StructType) -> DataFrame:
    """The same where all rows look back: only what is looked at goes to Python, and only the features come back.

    Spark must not take a row's values for its own: it would leave rows out before others have looked at them.
    """
    from pyspark.sql import functions as F  # noqa: N812
    from pyspark.sql.types import StructType

    names = [feature.name for feature in past.features]
    features = StructType([kept[name] for name in names])
    look_back = F.arrow_udf(_values(past, list(named)), features).asNondeterministic()
    found = rows.withColumn(_FOUND, look_back(*(f"`{column}`" for column in named.values())))
    own = [f"`{f.name}`" for f in kept.fields if f.name not in names]
    return found.selectExpr(*own, *(f"{_FOUND}.`{name}`" for name in names))


def _values(past: PastColumns, names: list[str]) -> Callable[..., Any]:
    """What an executor does with the columns of a partition: all batches at once."""
    import pyarrow as pa

    def look_back(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        from lakeloop.domain.past_in_memory import past_of

        held = [pa.RecordBatch.from_arrays(list(columns), names=names) for columns in batches]
        if not held:
            return
        found = past_of(pa.Table.from_batches(held), past)
        together, start = pa.StructArray.from_arrays(list(found.values()), names=list(found)), 0
        for batch in held:
            yield together.slice(start, batch.num_rows)
            start += batch.num_rows

    look_back.__annotations__ = {"batches": Iterator[tuple[pa.Array, ...]], "return": Iterator[pa.Array]}
    return look_back


def _order(past: PastColumns, named: dict[str, str], columns: list[str]) -> list[str]:
    order = (named[alias] for alias in (*past.entity, AT, *past.keys, *past.values))
    return [f"`{column}`" for column in (*dict.fromkeys(order), *({ROLE} & set(columns)))]


def _together(rows: DataFrame, past: PastColumns, named: dict[str, str], tasks: int | None) -> DataFrame:
    """Rows of an entity in one partition. Those without a place are spread, not heaped."""
    if tasks == 1:
        return rows.coalesce(1)
    entity, rest = ([f"`{named[a]}`" for a in group] for group in (past.entity, [*past.keys, AT]))
    known = " AND ".join(f"{column} IS NOT NULL" for column in (*entity, f"`{named[AT]}`"))
    place = f"CASE WHEN {known} THEN xxhash64({', '.join(entity)}) ELSE xxhash64({', '.join(rest)}) END"
    if tasks is None:
        return rows.selectExpr("*", f"{place} AS {_PLACE}").repartition(_PLACE).drop(_PLACE)
    parts = (rows.where(f"pmod({place}, {tasks}) = {number}").coalesce(1) for number in range(tasks))
    return reduce(lambda a, b: a.union(b), parts)


def _stream(past: PastColumns, named: dict[str, str], keep: list[str], *, few: bool) -> Stream:
    """What an executor does with a partition: few rows at once; many, which come in order, batch by batch."""

    def look_back(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from lakeloop.domain.past_in_memory import with_past_at_once
        from lakeloop.domain.past_stream import with_past

        whole = (_with_hidden(batch, named) for batch in batches)
        return (with_past_at_once if few else with_past)(whole, past, keep)

    return look_back


def _with_hidden(batch: pa.RecordBatch, named: dict[str, str]) -> pa.RecordBatch:
    """The hidden columns under their own names, no byte of them copied; without a role all rows have both."""
    import pyarrow as pa

    for alias, column in named.items():
        batch = batch.append_column(alias, batch.column(column))
    if ROLE in batch.schema.names:
        return batch
    return batch.append_column(ROLE, pa.repeat(pa.scalar(BOTH, pa.int8()), batch.num_rows))
