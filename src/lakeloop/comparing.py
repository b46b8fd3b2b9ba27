"""Comparing two snapshots of a table: by files where that is exact, else row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakeloop.domain.snapshots import Snapshot, TableState
from lakeloop.domain.table_diff import (
    ColumnComparison,
    RowChanges,
    TableDiff,
    compare_columns,
    shared_columns,
)
from lakeloop.domain.time_travel import columns_at
from lakeloop.ports.comparison import RowComparer
from lakeloop.ports.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa


def first_rows(batches: Iterator[pa.RecordBatch], most: int) -> list[dict[str, Any]]:
    """The first rows as values by column; reads no further than it has to."""
    found: list[dict[str, Any]] = []
    for batch in batches:
        found += batch.slice(0, most - len(found)).to_pylist()
        if len(found) >= most:
            break
    return found


def diff_snapshots(  # noqa: PLR0913 - one question
    lake: Lake,
    comparer: RowComparer,
    state: TableState,
    before: Snapshot,
    after: Snapshot,
    *,
    columns: Sequence[str] | None = None,
    key: Sequence[str] = (),
    most_rows: int = 10,
    statistics: bool = True,
) -> TableDiff:
    """Rows added and removed, and each column's statistics side by side.

    Args:
        lake: where the table is.
        comparer: for rows of rewritten files, and statistics.
        state: the table's metadata.
        before: the earlier snapshot.
        after: the later one.
        columns: compare only these, by their names at `after`; a column that only one of both has tells no rows
            apart.
        key: columns that identify a row, where known.
        most_rows: how many added and removed rows are returned.
        statistics: whether to read both snapshots whole for the columns' statistics.

    Raises:
        LakeloopError: a column is not there, or a file cannot be read.
    """
    old, new = (columns_at(state, s) for s in (before, after))
    shared = shared_columns(old, new)
    compared = shared if columns is None else tuple(columns)
    by_key = tuple(key) if set(key) <= set(compared) else ()
    return TableDiff(
        table=state.name,
        table_uuid=state.table_uuid,
        from_snapshot_id=before.snapshot_id,
        to_snapshot_id=after.snapshot_id,
        rows=_row_changes(lake, comparer, state.name, (before, after), compared, by_key, most_rows),
        columns=_columns(lake, comparer, state, (before, after), columns) if statistics else (),
    )


def _row_changes(  # noqa: PLR0913, PLR0917 - one step of the above
    lake: Lake,
    comparer: RowComparer,
    table: str,
    ends: tuple[Snapshot, Snapshot],
    columns: Sequence[str],
    key: Sequence[str],
    most_rows: int,
) -> RowChanges:
    files = lake.difference(table, ends[0].snapshot_id, ends[1].snapshot_id, columns)
    if files.gone_files and files.come_files:
        return comparer.compare(files.gone(), files.come(), key, most_rows)
    added, added_rows = _counted(files.come(), most_rows) if files.come_files else (0, [])
    removed, removed_rows = _counted(files.gone(), most_rows) if files.gone_files else (0, [])
    return RowChanges(
        method="files" if files.gone_files or files.come_files else "same files",
        added=added,
        removed=removed,
        changed_keys=0 if key else None,
        added_rows=tuple(added_rows),
        removed_rows=tuple(removed_rows),
    )


def _counted(batches: Iterator[pa.RecordBatch], most: int) -> tuple[int, list[dict[str, Any]]]:
    rows, found = 0, list[dict[str, Any]]()
    for batch in batches:
        rows += batch.num_rows
        found += batch.slice(0, most - len(found)).to_pylist()
    return rows, found


def _columns(
    lake: Lake,
    comparer: RowComparer,
    state: TableState,
    ends: tuple[Snapshot, Snapshot],
    columns: Sequence[str] | None,
) -> tuple[ColumnComparison, ...]:
    old, new = (columns_at(state, s) for s in ends)
    ids = {c.field_id for c in new if columns is None or c.name in columns}
    ids |= {c.field_id for c in old} if columns is None else set()
    was, is_ = (
        comparer.statistics(
            lake.read_batches(state.name, end.snapshot_id, [c.name for c in schema if c.field_id in ids])
        )
        for end, schema in zip(ends, (old, new), strict=True)
    )
    return compare_columns((old, new), (was, is_))
