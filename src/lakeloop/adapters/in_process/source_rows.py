"""The rows of the source table that a plan reads, as one Arrow table: the in-process reading of `spark.source_rows`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.rows import appended, schema_at, select, stream
from lakeloop.adapters.in_process.entities import among, named
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import SnapshotRange

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_LISTED = 200
"""Iceberg's own limit: of longer lists the bounds of files are not compared with the values."""


def source_rows(
    lake: IcebergLake, range_: SnapshotRange, plan: Plan, columns: Sequence[str] | None
) -> pa.Table:
    """Rows of one range: whole at its end where it begins at the first row, else what the plan's action reads."""
    import pyarrow as pa

    if range_.from_snapshot_id is None:
        return pa.Table.from_batches(lake.read_batches(range_.table, range_.to_snapshot_id, columns))
    if plan.action == "changelog" and range_ == plan.range:
        return _net_inserts(lake, range_, columns)
    return _appended(lake, range_, columns)


def history_rows(
    lake: IcebergLake, range_: SnapshotRange, columns: Sequence[str], entity: str, entities: pa.ChunkedArray
) -> pa.Table:
    """Rows at the range's end whose entity is among those given, and perhaps more.

    Files and row groups whose bounds exclude all of them are not read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, And, GreaterThanOrEqual, In, LessThanOrEqual

    loaded = lake.find(range_.table)
    if loaded is None:
        raise LakeloopError("there is no such table", where=range_.table)
    selected = select(schema_at(loaded, range_.to_snapshot_id), columns, range_.table)
    distinct = named(entities).unique().drop_null()
    bounds = pc.min_max(distinct)
    filter_: Any = AlwaysFalse()
    if pa.types.is_floating(distinct.type):
        filter_ = AlwaysTrue()  # which knows two zeros, and takes no NaN
    elif 0 < len(distinct) <= _MOST_LISTED:
        filter_ = In(entity, distinct.to_pylist())
    elif len(distinct):
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        filter_ = And(GreaterThanOrEqual(entity, low), LessThanOrEqual(entity, high))
    rows = stream(loaded, int(range_.to_snapshot_id), selected, filter_)
    kept = (batch.filter(among(named(batch.column(entity)), distinct)) for batch in rows)
    return pa.Table.from_batches(kept, schema=None) if len(distinct) else pa.Table.from_batches(list(rows))


def _appended(lake: IcebergLake, range_: SnapshotRange, columns: Sequence[str] | None) -> pa.Table:
    """By Iceberg's incremental scan: each file that an append brought, also where compaction has replaced it since."""
    import pyarrow as pa

    loaded = lake.find(range_.table)
    if loaded is None:
        raise LakeloopError("there is no such table", where=range_.table)
    selected = select(schema_at(loaded, range_.to_snapshot_id), columns, range_.table)
    start, end = str(range_.from_snapshot_id), range_.to_snapshot_id
    return pa.Table.from_batches(appended(loaded, start, end, selected))


def _net_inserts(lake: IcebergLake, range_: SnapshotRange, columns: Sequence[str] | None) -> pa.Table:
    """Rows that are there at the end and were not at the start, each as often as it is there more.

    Only files that the two do not share are compared, by whole rows.
    """
    import duckdb
    import pyarrow as pa

    found = lake.difference(range_.table, str(range_.from_snapshot_id), range_.to_snapshot_id)
    come, gone = pa.Table.from_batches(found.come()), pa.Table.from_batches(found.gone())
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("come", come)
        connection.register("gone", gone)
        rows = connection.sql("SELECT * FROM come EXCEPT ALL SELECT * FROM gone").to_arrow_table()
    rows = rows.cast(come.schema)
    return rows if columns is None else rows.select(list(columns))
