"""Equality deletes, which pyiceberg plans around: which apply to a data file, and the rows that they leave.

Iceberg's specification, "Scan Planning": an equality delete file applies to a data file whose data sequence number is
strictly less than its own, and whose partition (spec and values) is the same, or everywhere where its own spec is
unpartitioned. A row is deleted when its values of the file's equality columns equal those of one of its rows; null
equals null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


@dataclass(frozen=True)
class PlannedFile:
    """A data file of a scan: pyiceberg's task (with its position deletes), and the equality deletes that apply."""

    task: Any
    equality: tuple[Any, ...] = ()

    @property
    def key(self) -> tuple[str, frozenset[str]]:
        """Path and deletes: what the file shows is the same where both are."""
        deletes = [*self.task.delete_files, *self.equality]
        return self.task.file.file_path, frozenset(d.file_path for d in deletes)


def plan_files(table: Table, snapshot_id: int, filter_: Any) -> list[PlannedFile]:
    """The snapshot's files that may have rows of the filter.

    Raises:
        ValueError: a manifest names what pyiceberg does not know.
    """
    try:
        return [
            PlannedFile(task) for task in table.scan(row_filter=filter_, snapshot_id=snapshot_id).plan_files()
        ]
    except (NotImplementedError, ValueError) as error:
        if "equality delete" not in str(error):
            raise
    return _with_equality_deletes(table, snapshot_id, filter_)


def _with_equality_deletes(table: Table, snapshot_id: int, filter_: Any) -> list[PlannedFile]:
    from pyiceberg.manifest import DataFileContent
    from pyiceberg.table import ManifestGroupPlanner

    snapshot, sequence, deletes = table.snapshot_by_id(snapshot_id), dict[str, int](), list[Any]()

    def is_known(entry: Any) -> bool:
        if entry.data_file.content == DataFileContent.EQUALITY_DELETES:
            deletes.append(entry)
            return False
        sequence[entry.data_file.file_path] = entry.sequence_number or 0
        return True

    planner = ManifestGroupPlanner(table.metadata, table.io, filter_)
    tasks = list(planner.plan_files(snapshot.manifests(table.io) if snapshot else [], is_known))
    specs = table.specs()

    def applies(entry: Any, task: Any) -> bool:
        delete, file = entry.data_file, task.file
        if (entry.sequence_number or 0) <= sequence[file.file_path]:
            return False
        everywhere = specs[delete.spec_id].is_unpartitioned()
        return everywhere or (delete.spec_id, delete.partition) == (file.spec_id, file.partition)

    return [PlannedFile(t, tuple(e.data_file for e in deletes if applies(e, t))) for t in tasks]


@dataclass
class EqualityDeletes:
    """Reads delete files once, and takes their rows out of batches.

    Attributes:
        table: by pyiceberg.
        selected: the columns that are wanted in the end.
    """

    table: Table
    selected: Schema
    _read: dict[str, pa.Table] = field(default_factory=dict)

    def projection(self, files: Sequence[Any]) -> Schema:
        """The columns to read: those selected, and those that the delete files compare."""
        numbers = dict.fromkeys(number for file in files for number in file.equality_ids or ())
        more = [self._named(n, _column(n)) for n in numbers if n not in self.selected.field_ids]
        return type(self.selected)(*self.selected.fields, *more, schema_id=self.selected.schema_id)

    def left(self, batch: pa.RecordBatch, files: Sequence[Any]) -> pa.RecordBatch:
        """A batch of the projection, without the rows that the files delete."""
        import numpy as np
        import pyarrow as pa

        deleted = np.zeros(batch.num_rows, dtype=np.bool_)
        for file in files:
            keys = self._keys(file)
            if keys.num_rows:
                deleted |= _matching([batch.column(self._name(n)) for n in file.equality_ids], keys.columns)
        return batch.filter(pa.array(~deleted)) if deleted.any() else batch

    def _keys(self, file: Any) -> pa.Table:
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan
        from pyiceberg.table import FileScanTask

        if file.file_path not in self._read:
            projected = type(self.selected)(*(self._named(n, _column(n)) for n in file.equality_ids))
            scan = ArrowScan(self.table.metadata, self.table.io, projected, AlwaysTrue())
            self._read[file.file_path] = scan.to_table([FileScanTask(file)])
        return self._read[file.file_path]

    def _name(self, number: int) -> str:
        known = self.selected.field_ids
        return self.selected.find_field(number).name if number in known else _column(number)

    def _named(self, number: int, name: str) -> Any:
        """The field with another name, from whichever schema has it last: it may have been dropped since."""
        schemas = [self.table.schema(), *reversed(self.table.schemas().values())]
        known = next(s.find_field(number) for s in schemas if number in s.field_ids)
        return known.model_copy(update={"name": name, "required": False})


def _column(number: int) -> str:
    return f"_equality_{number}"


def _matching(
    rows: Sequence[pa.Array], keys: Sequence[pa.ChunkedArray]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """By row: whether all its values are those of one of the keys. Column by column, keys as whole numbers."""
    import numpy as np
    import pyarrow.compute as pc

    hit = np.ones(len(rows[0]), dtype=np.bool_)
    row_code, key_code = np.zeros(len(rows[0]), np.int64), np.zeros(len(keys[0]), np.int64)
    for values, key in zip(rows, keys, strict=True):
        unique = key.cast(values.type).unique()
        places = [
            pc.index_in(v, value_set=unique, skip_nulls=False).fill_null(-1)
            for v in (values, key.cast(values.type))
        ]
        at, key_at = (np.asarray(place).astype(np.int64) for place in places)
        known, key_code = np.unique(key_code * len(unique) + key_at, return_inverse=True)
        wanted = row_code * len(unique) + at
        found = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        hit &= (at >= 0) & (known[found] == wanted)
        row_code = np.where(hit, found, 0)
    return hit
