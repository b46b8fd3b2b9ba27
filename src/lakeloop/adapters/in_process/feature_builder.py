"""Feature rows of snapshot ranges, computed in this process into the feature table, each range exactly once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lakeloop.adapters.duckdb.feature_rows import feature_rows
from lakeloop.adapters.iceberg.branches import IcebergRefs
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.range_builder import RangeAppends, RangeBuilder
from lakeloop.adapters.in_process.source_rows import history_rows, source_rows
from lakeloop.adapters.in_process.tables import add_columns, arrow_schema, check_writable, create_table
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import (
    FeatureTable,
    feature_table,
    missing_columns,
    read_columns,
    seen_columns,
)
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, SnapshotRange
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table


class InProcessFeatureBuilder(RangeBuilder):
    """Implements `lakeloop.ports.lake.FeatureBuilder` without a JVM; the rows of a range are in memory at once.

    Args:
        settings: where to work.
        lake: metadata and rows.
    """

    by_spark = False

    def __init__(self, settings: Settings, lake: IcebergLake) -> None:
        super().__init__(settings, lake)
        self._iceberg = lake

    def append_ranges(
        self, use_case: UseCase, plan: Plan, table: FeatureTable, missing: list[SnapshotRange]
    ) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""
        state = self._lake.table_state(missing[-1].table)
        types = {c.name: c.type for c in state.columns} if state else {}
        own = replace(feature_table(use_case, types, DUCKDB), name=table.name)
        columns = read_columns(use_case, types), seen_columns(use_case, types)
        return _Ranges(self._settings, self._iceberg, own, plan, *columns).append(missing)


class _Ranges(RangeAppends):
    """Appends of ranges to one feature table."""

    def __init__(  # noqa: PLR0913, PLR0917 - the state of the appends
        self,
        settings: Settings,
        lake: IcebergLake,
        table: FeatureTable,
        plan: Plan,
        columns: list[str],
        seen: list[str],
    ) -> None:
        super().__init__(lake, table, plan)
        self._settings, self._iceberg, self._columns, self._seen = settings, lake, columns, seen

    def append(self, ranges: list[SnapshotRange]) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""
        refs, counts = IcebergRefs(self._settings, self._ready()), dict[str, int]()
        for range_ in ranges:
            counts = self.append_once(refs, range_, lambda range_, branch: self._write(refs, range_, branch))
        return counts

    def _ready(self) -> Table:
        name = self._table.name
        loaded = self._iceberg.find(name)
        if loaded is None:
            create_table(self._settings, self._iceberg, name, self._table.types, (RANGE_ID_COLUMN,))
            loaded = self._iceberg.find(name)
        if loaded is None:
            raise LakeloopError("the feature table is gone", where=name, fix="run the step again")
        check_writable(loaded)
        state = self._lake.table_state(name)
        lacking = missing_columns(self._table, [(c.name, c.type) for c in state.columns] if state else [])
        if lacking:
            add_columns(self._settings, loaded, lacking)
        return loaded

    def _write(self, refs: IcebergRefs, range_: SnapshotRange, branch: str) -> dict[str, int]:
        rows = self._rows(range_)
        labels = rows.column(LABEL_COLUMN)
        counts = {
            "unlabelled": labels.null_count,
            "positives": _count(labels, 1.0),
            "negatives": _count(labels, 0.0),
        }
        rows = rows.filter(labels.is_valid()).sort_by([(name, "ascending") for name in self._table.order])
        refs.append(branch, _completed(rows, arrow_schema(refs.table)), self.properties(range_))
        return counts

    def _rows(self, range_: SnapshotRange) -> pa.Table:
        source = source_rows(self._iceberg, range_, self._plan, self._columns)
        history = None
        if self._table.past and range_.from_snapshot_id is not None:
            history = self._history(range_, source)
        return feature_rows(source, self._table, range_.range_id(self._table.hash), history)

    def _history(self, range_: SnapshotRange, source: pa.Table) -> pa.Table:
        """All that any entity looks at; of several kinds of entity the whole table."""
        first = {past.source_entity[0] for past in self._table.past}
        if len(first) == 1:
            entity = first.pop()
            return history_rows(self._iceberg, range_, self._seen, entity, source.column(entity))
        whole = range_.model_copy(update={"from_snapshot_id": None})
        return source_rows(self._iceberg, whole, self._plan, self._seen)


def _count(labels: pa.ChunkedArray, value: float) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.equal(labels, value)).as_py() or 0)


def _completed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """In the feature table's columns and types; those of other definitions are null."""
    import pyarrow as pa

    columns = [
        rows.column(f.name).cast(f.type) if f.name in rows.column_names else pa.nulls(rows.num_rows, f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
