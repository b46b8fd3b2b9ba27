"""A home whose features are computed already, made without a JVM: what is left of a run needs none either."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import (
    FEATURE_HASH_PROPERTY,
    RANGE_FROM_PROPERTY,
    RANGE_PROPERTY,
    RANGE_TO_PROPERTY,
    SOURCE_UUID_PROPERTY,
    feature_table,
)
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, SnapshotRange, TableState
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings
from tests.faults.crash_matrix.world import BATCH_ROWS

TABLE_SOURCE = {"source": {"kind": "table"}}
_ARROW = {
    "bigint": pa.int64(),
    "timestamp": pa.timestamp("us", "UTC"),
    "double": pa.float64(),
    "string": pa.string(),
}


def make_ready_home(settings: Settings, use_case: UseCase) -> None:
    """The source table by another writer, and its first range in the feature table as the feature builder leaves it."""
    IcebergLake(settings).catalog.create_namespace("plant")
    add_ready_batch(settings, use_case, 0)


def add_ready_batch(settings: Settings, use_case: UseCase, number: int) -> None:
    """The next commit of the other writer, and its range in the feature table."""
    lake = IcebergLake(settings)
    before, source = lake.table_state(use_case.table.name), _rows(number)
    state = _append(lake, use_case.table.name, source, {})
    range_ = SnapshotRange(
        table=state.name,
        table_uuid=state.table_uuid,
        from_snapshot_id=before.current_snapshot_id if before else None,
        to_snapshot_id=state.current_snapshot_id or "",
    )
    table = feature_table(use_case, {c.name: c.type for c in state.columns})
    range_id = range_.range_id(table.hash)
    values = {
        "at": source["at"],
        "id": source["id"],
        LABEL_COLUMN: source["failed"].cast(pa.float64()),
        "amount": source["amount"],
        "kind": source["kind"],
        "double": pa.array([2 * amount for amount in source["amount"].to_pylist()]),
        RANGE_ID_COLUMN: pa.array([range_id] * BATCH_ROWS),
    }
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in table.types.items()])
    told = {
        RANGE_PROPERTY: range_id,
        RANGE_FROM_PROPERTY: range_.from_snapshot_id or "",
        RANGE_TO_PROPERTY: range_.to_snapshot_id,
        FEATURE_HASH_PROPERTY: table.hash,
        SOURCE_UUID_PROPERTY: range_.table_uuid,
    }
    _append(lake, table.name, pa.table([values[name] for name in schema.names], schema=schema), told)


def _rows(number: int) -> pa.Table:
    start, numbers = datetime(2025, 1, 1, tzinfo=UTC), range(number * BATCH_ROWS, (number + 1) * BATCH_ROWS)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "at": pa.array([start + timedelta(minutes=i) for i in numbers], pa.timestamp("us", "UTC")),
            "amount": [(i * 37) % 101 + 50 * (i % 3 == 0) + 0.5 for i in numbers],
            "kind": ["ab"[i % 2] for i in numbers],
            "failed": pa.array([int(i % 3 == 0) for i in numbers], pa.int32()),
        }
    )


def _append(lake: IcebergLake, name: str, rows: pa.Table, told: dict[str, str]) -> TableState:
    lake.catalog.create_table_if_not_exists(name, rows.schema).append(rows, snapshot_properties=told)
    state = lake.table_state(name)
    assert state is not None
    return state
