"""Which data files tell two snapshots apart."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.equality_deletes import PlannedFile, plan_files
from lakeloop.adapters.iceberg.rows import readable, stream_files
from lakeloop.ports.lake import FileDifference

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


def file_difference(table: Table, before: str, after: str, selected: Schema) -> FileDifference:
    """Files by path and deletes; memory grows with the number of files, never with rows.

    Raises:
        LakeloopError: a manifest cannot be read.
    """
    from pyiceberg.expressions import AlwaysTrue

    with readable(table):
        old, new = (
            {planned.key: planned for planned in plan_files(table, int(snapshot_id), AlwaysTrue())}
            for snapshot_id in (before, after)
        )
    gone = [planned for key, planned in old.items() if key not in new]
    come = [planned for key, planned in new.items() if key not in old]

    def rows(files: Iterable[PlannedFile]) -> Any:
        return partial(stream_files, table, lambda: files, selected, AlwaysTrue())

    return FileDifference(len(gone), len(come), rows(gone), rows(come))
