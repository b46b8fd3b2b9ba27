"""Rows of a snapshot as a stream of Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.equality_deletes import EqualityDeletes, PlannedFile, plan_files
from lakeloop.domain.errors import LakeloopError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table


def schema_at(table: Table, snapshot_id: str) -> Schema:
    """The schema that the snapshot was written with.

    Raises:
        LakeloopError: there is no such snapshot.
    """
    snapshot = table.snapshot_by_id(int(snapshot_id)) if snapshot_id.isdecimal() else None
    if snapshot is None:
        raise LakeloopError(
            f"the table has no snapshot {snapshot_id}",
            where=".".join(table.name()),
            fix="it was expired or never there; lakeloop pins what a model needs",
        )
    return table.schemas().get(snapshot.schema_id, table.schema())


def select(schema: Schema, columns: Sequence[str] | None, table: str) -> Schema:
    """The columns asked for, in that order; all of them for None.

    Raises:
        LakeloopError: one is not there.
    """
    if columns is None:
        return schema
    by_name = {field.name: field for field in schema.fields}
    missing = [c for c in columns if c not in by_name]
    if missing:
        raise LakeloopError(
            f"no column {', '.join(map(repr, missing))} at that snapshot",
            where=table,
            fix=f"it has {sorted(by_name)}",
        )
    return type(schema)(*(by_name[c] for c in columns), schema_id=schema.schema_id)


def listed(table: Table, schema: Schema, wanted: Mapping[str, Sequence[Any]]) -> Any:
    """The row filter, in the names of today's schema, which is the one that pyiceberg binds it to."""
    from pyiceberg.expressions import AlwaysTrue, And, In

    filter_: Any = AlwaysTrue()
    for name, values in wanted.items():
        select(schema, [name], ".".join(table.name()))
        today = table.schema().find_column_name(schema.find_field(name).field_id)
        if today is None:
            raise LakeloopError(f"column {name!r} was dropped since", where=".".join(table.name()))
        filter_ = And(filter_, In(today, list(values)))
    return filter_


def stream(table: Table, snapshot_id: int, selected: Schema, filter_: Any) -> Iterator[pa.RecordBatch]:
    """The snapshot's rows, file by file; an empty batch where there are none.

    Raises:
        LakeloopError: while it is read: a file is missing or broken.
    """
    return stream_files(table, lambda: plan_files(table, snapshot_id, filter_), selected, filter_)


def stream_files(
    table: Table, plan: Callable[[], Iterable[PlannedFile]], selected: Schema, filter_: Any
) -> Iterator[pa.RecordBatch]:
    """The rows of planned files, each without what its delete files delete; an empty batch where there are none.

    Args:
        table: by pyiceberg.
        plan: the files; asked for when the first batch is.
        selected: columns of the batches.
        filter_: only these rows.

    Raises:
        LakeloopError: while it is read: a file is missing or broken.
    """
    import pyarrow as pa

    target, deletes = _arrow_schema(selected), EqualityDeletes(table, selected)
    empty = True
    # One file at a time: given all files, ArrowScan reads ahead without a limit.
    with readable(table):
        for planned in plan():
            for batch in _file_batches(table, planned, filter_, deletes):
                empty = False
                columns = [batch.column(f.name).cast(f.type) for f in target]
                yield pa.RecordBatch.from_arrays(columns, schema=target)
    if empty:
        yield pa.RecordBatch.from_pylist([], schema=target)


def appended(table: Table, start: str, end: str, selected: Schema) -> Iterator[pa.RecordBatch]:
    """The rows that append snapshots of `(start, end]` brought, also from files that were compacted away since.

    Raises:
        LakeloopError: while it is read: a file is missing or broken.
    """
    from pyiceberg.expressions import AlwaysTrue

    def plan() -> Iterable[PlannedFile]:
        scan = table.incremental_append_scan(
            from_snapshot_id_exclusive=int(start), to_snapshot_id_inclusive=int(end)
        )
        return map(PlannedFile, scan.plan_files())

    return stream_files(table, plan, selected, AlwaysTrue())


@contextmanager
def readable(table: Table) -> Iterator[None]:
    """Turn what reading a table's files raises into one clear error."""
    try:
        yield
    except OSError as error:
        raise LakeloopError(
            f"a file of the table cannot be read: {error}",
            where=".".join(table.name()),
            fix="see whether the storage answers, or whether somebody removed files behind its back",
        ) from error


def _arrow_schema(selected: Schema) -> pa.Schema:
    """Arrow's types; text is `string`, not the `large_string` that pyiceberg prefers for whole tables."""
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    fields = schema_to_pyarrow(selected, include_field_ids=False)
    return pa.schema([f.with_type(plain.get(f.type, f.type)) for f in fields])


def _file_batches(
    table: Table, planned: PlannedFile, filter_: Any, deletes: EqualityDeletes
) -> Iterator[pa.RecordBatch]:
    # ArrowScan.to_record_batches would hold a whole file as a list; its own generator underneath streams.
    from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files

    arrow: Any = ArrowScan(table.metadata, table.io, deletes.projection(planned.equality), filter_)
    by_position = _read_all_delete_files(table.io, [planned.task])
    for batch in arrow._record_batches_from_scan_tasks_and_deletes([planned.task], by_position):  # noqa: SLF001
        yield deletes.left(batch, planned.equality) if planned.equality else batch
