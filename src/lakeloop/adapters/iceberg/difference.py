"""Which data files tell two snapshots apart."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

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
        old, new = (_files(table, int(snapshot_id)) for snapshot_id in (before, after))
    gone = [task for key, task in old.items() if key not in new]
    come = [task for key, task in new.items() if key not in old]

    def rows(tasks: Iterable[Any]) -> Any:
        return partial(stream_files, table, lambda: tasks, selected, AlwaysTrue())

    return FileDifference(len(gone), len(come), rows(gone), rows(come))


def _files(table: Table, snapshot_id: int) -> dict[tuple[str, frozenset[str]], Any]:
    tasks = table.scan(snapshot_id=snapshot_id).plan_files()
    return {(t.file.file_path, frozenset(d.file_path for d in t.delete_files)): t for t in tasks}
