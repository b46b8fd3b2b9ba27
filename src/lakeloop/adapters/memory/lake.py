"""A lake in memory, with Iceberg's rules for snapshots and tags."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, Column, Move, Ref, Snapshot, TableState
from lakeloop.ports.lake import FileDifference

if TYPE_CHECKING:
    import pyarrow as pa

# Beyond a double's 53 bits, like real ids: who turns an id into a number finds out.
_FIRST_ID = 3051729675574597004


class MemoryLake:
    """Implements `lakeloop.ports.lake.Lake`; `append` is what a writer would do."""

    def __init__(self) -> None:
        self._states: dict[str, TableState] = {}
        self._rows: dict[tuple[str, str], pa.Table] = {}
        self._ids = itertools.count(_FIRST_ID)

    def append(self, table: str, rows: pa.Table, summary: Mapping[str, str] | None = None) -> str:
        """Commit rows, making the table on first use; the new snapshot's id."""
        import pyarrow as pa

        state = self._states.get(table) or _new_table(table, rows.schema)
        head, id_ = state.current_snapshot_id, str(next(self._ids))
        snapshot = Snapshot(
            snapshot_id=id_,
            parent_id=head,
            sequence_number=len(state.snapshots) + 1,
            timestamp_ms=len(state.snapshots) + 1,
            schema_id=state.current_schema_id,
            summary={"added-records": str(rows.num_rows), **(summary or {})},
        )
        before = [self._rows[table, head]] if head else []
        self._rows[table, id_] = pa.concat_tables([*before, rows])
        refs = [r for r in state.refs if r.name != "main"]
        main = Ref(name="main", kind="branch", snapshot_id=id_)
        self._states[table] = state.model_copy(
            update={
                "current_snapshot_id": id_,
                "snapshots": (*state.snapshots, snapshot),
                "log": (*state.log, Move(at_ms=snapshot.timestamp_ms, snapshot_id=id_)),
                "refs": tuple(sorted([*refs, main], key=lambda r: r.name)),
            }
        )
        return id_

    def table_state(self, table: str) -> TableState | None:
        """Current metadata, or None where the table does not exist."""
        return self._states.get(table)

    def read_batches(
        self,
        table: str,
        snapshot_id: str,
        columns: Sequence[str] | None = None,
        range_ids: Sequence[str] | None = None,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows at a snapshot; at least one batch."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = self._at(table, snapshot_id)
        wanted = {**(where or {}), **({} if range_ids is None else {RANGE_ID_COLUMN: range_ids})}
        for name in [*(columns or ()), *wanted]:
            if name not in rows.column_names:
                raise LakeloopError(f"no column {name!r} at that snapshot", where=table)
        for name, values in wanted.items():
            type_ = rows.schema.field(name).type
            rows = rows.filter(pc.is_in(rows[name], pa.array(list(values), type_)))
        rows = rows.select(list(columns)) if columns is not None else rows
        return _batches(rows)

    def read_files(
        self,
        table: str,
        snapshot_id: str,
        columns: Sequence[str] | None = None,
        since_snapshot_id: str | None = None,
    ) -> Iterator[tuple[str, Callable[[], Iterator[pa.RecordBatch]]]]:
        """One file an append."""
        start = 0
        known = since_snapshot_id is not None
        for snapshot in self._states[table].snapshots:
            rows = self._at(table, snapshot.snapshot_id)
            added = rows.slice(start)
            start = rows.num_rows
            if not known:
                part = added.select(list(columns)) if columns is not None else added
                yield snapshot.snapshot_id, partial(_batches, part)
            known = known and snapshot.snapshot_id != since_snapshot_id
            if snapshot.snapshot_id == snapshot_id:
                return

    def difference(
        self, table: str, before: str, after: str, columns: Sequence[str] | None = None
    ) -> FileDifference:
        """One file an append: what is shared is what both snapshots' rows begin with."""
        old, new = self._at(table, before), self._at(table, after)
        names = list(columns) if columns is not None else new.column_names
        missing = [c for c in names if c not in new.column_names]
        if missing:
            raise LakeloopError(f"no column {missing[0]!r} at that snapshot", where=table)
        shared = min(old.num_rows, new.num_rows)
        if not old.slice(0, shared).equals(new.slice(0, shared)):
            shared = 0
        gone, come = (rows.slice(shared).select(names) for rows in (old, new))
        return FileDifference(
            int(gone.num_rows > 0), int(come.num_rows > 0), lambda: _batches(gone), lambda: _batches(come)
        )

    def pin(self, table: str, tag: str, snapshot_id: str) -> None:
        """Make `tag` hold the snapshot; the same pin again is a no-op.

        Raises:
            ConflictError: the tag holds another snapshot.
            LakeloopError: no such table or snapshot.
        """
        self._at(table, snapshot_id)
        state = self._states[table]
        held = next((r.snapshot_id for r in state.refs if r.name == tag), None)
        if held not in {None, snapshot_id}:
            raise ConflictError(f"{tag!r} already holds snapshot {held}, not {snapshot_id}", where=table)
        if held is None:
            pin = Ref(name=tag, kind="tag", snapshot_id=snapshot_id)
            refs = tuple(sorted([*state.refs, pin], key=lambda r: r.name))
            self._states[table] = state.model_copy(update={"refs": refs})

    def pin_all(self, table: str, snapshots: Mapping[str, str]) -> None:
        """All of the pins, or none.

        Raises:
            ConflictError: a tag holds another snapshot.
            LakeloopError: no such table or snapshot.
        """
        before = self._known(table)
        try:
            for tag, snapshot_id in snapshots.items():
                self.pin(table, tag, snapshot_id)
        except LakeloopError:
            self._states[table] = before
            raise

    def unpin(self, table: str, *tags: str) -> None:
        """Remove the tags; absent ones are a no-op.

        Raises:
            LakeloopError: no such table, or a name is a branch's.
        """
        state = self._known(table)
        branches = [r.name for r in state.refs if r.name in tags and r.kind == "branch"]
        if branches:
            raise LakeloopError(f"{branches[0]!r} is a branch, not a pin", where=table, fix="name a tag")
        refs = tuple(r for r in state.refs if r.name not in tags)
        self._states[table] = state.model_copy(update={"refs": refs})

    def _known(self, table: str) -> TableState:
        if table not in self._states:
            raise LakeloopError(f"there is no table {table!r}", fix="land a batch first, or see its name")
        return self._states[table]

    def _at(self, table: str, snapshot_id: str) -> pa.Table:
        self._known(table)
        if (table, snapshot_id) not in self._rows:
            raise LakeloopError(f"the table has no snapshot {snapshot_id}", where=table)
        return self._rows[table, snapshot_id]


def _batches(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    return iter(rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=rows.schema)])


def _new_table(name: str, schema: pa.Schema) -> TableState:
    columns = tuple(
        Column(field_id=i, name=f.name, type=_iceberg_type(f.type), required=not f.nullable)
        for i, f in enumerate(schema, start=1)
    )
    return TableState(name=name, table_uuid=str(uuid.uuid4()), schemas={0: columns})


def _iceberg_type(type_: pa.DataType) -> str:
    names = {"int32": "int", "int64": "long", "bool": "boolean", "date32[day]": "date"}
    text = str(type_)
    if text.startswith("timestamp"):
        return "timestamptz" if type_.tz else "timestamp"
    return names.get(text, text)
