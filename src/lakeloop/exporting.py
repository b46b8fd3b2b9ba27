"""A use case's training rows as one Parquet file."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import BuiltRange, built_chain, built_ranges, feature_table
from lakeloop.domain.lineage import Lineage
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, TableState, ancestry
from lakeloop.domain.time_travel import snapshot_named
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa


METADATA_KEY = b"lakeloop"
"""The file's key-value metadata under which `Origin` is kept, as JSON."""


@dataclass(frozen=True)
class Origin:
    """Where the rows of a file come from; part of the file.

    Args:
        use_case: its name.
        source_table: the features were computed from it,
        source_snapshot_id: up to this snapshot.
        source_from_snapshot_id: exclusive start; None: from the first row.
        feature_table: it holds the rows,
        feature_snapshot_id: at this snapshot,
        range_ids: in these ranges, newest last.
        feature_hash: of the definitions.
        model_version: trained on exactly these rows; None where no version was asked for.
        run_key: of that training.
    """

    use_case: str
    source_table: str
    source_snapshot_id: str
    source_from_snapshot_id: str | None
    feature_table: str
    feature_snapshot_id: str
    range_ids: tuple[str, ...]
    feature_hash: str
    model_version: str | None = None
    run_key: str | None = None


@dataclass(frozen=True)
class ExportRows:
    """Which rows of which feature table, in which columns."""

    origin: Origin
    columns: tuple[str, ...]


def rows_computed(lake: Lake, use_case: UseCase, at: str | None = None) -> ExportRows:
    """Every row of the source table once, as far as features have been computed as they are declared now.

    Args:
        lake: of both tables.
        use_case: whose rows.
        at: a time, snapshot id, branch or tag of the source table: only rows that it had then; None: all.

    Raises:
        UserError: there are none yet, or none then; or `at` names nothing.
    """
    source = lake.table_state(use_case.table.name)
    if source is None:
        raise _none_yet(use_case)
    path = _path(source, at)
    table = feature_table(use_case, {c.name: c.type for c in source.columns})
    for name in (table.name, f"{table.name}_{table.hash[:8]}"):
        state = lake.table_state(name)
        built = built_ranges(state, table.hash)
        if state is None or not built:
            continue
        chain = built_chain(built, path, strict=at is not None)
        if not chain:
            raise UserError(
                f"no features have been computed of what it held at {at}",
                where=use_case.table.name,
                fix="name a later time: lakeloop history shows what was computed",
            )
        origin = _origin(use_case, name, str(state.current_snapshot_id), chain, table.hash)
        return ExportRows(origin, tuple(c.name for c in table.columns))
    raise _none_yet(use_case)


def _path(source: TableState, at: str | None) -> tuple[str, ...]:
    head = source.current_snapshot_id if at is None else snapshot_named(source, at).snapshot_id
    return tuple(s.snapshot_id for s in ancestry(source, head).snapshots) if head else ()


def _origin(
    use_case: UseCase, table: str, snapshot_id: str, chain: tuple[BuiltRange, ...], of_hash: str
) -> Origin:
    return Origin(
        use_case=use_case.name,
        source_table=use_case.table.name,
        source_snapshot_id=chain[-1].to_snapshot_id,
        source_from_snapshot_id=chain[0].from_snapshot_id,
        feature_table=table,
        feature_snapshot_id=snapshot_id,
        range_ids=tuple(b.range_id for b in chain),
        feature_hash=of_hash,
    )


def _none_yet(use_case: UseCase) -> UserError:
    return UserError(
        "no features have been computed as they are declared now",
        where=use_case.name,
        fix=f"lakeloop run {use_case.name}",
    )


def rows_of(lineage: Lineage, version: str, lake: Lake) -> ExportRows:
    """Exactly the rows of one training.

    Raises:
        UserError: the feature table does not have them any more.
    """
    made = lineage.training_set
    name, snapshot_id = made.feature_table, made.feature_snapshot_id
    state = lake.table_state(name)
    found = next((s for s in state.snapshots if s.snapshot_id == snapshot_id), None) if state else None
    if state is None or found is None:
        raise UserError(
            f"its feature rows are gone: snapshot {snapshot_id} of {name}",
            where=made.use_case,
            fix="export another version, or none for the rows of today",
        )
    schema = state.schemas.get(found.schema_id or 0, state.columns)
    names = tuple(c.name for c in schema if c.name != RANGE_ID_COLUMN)
    origin = Origin(
        use_case=made.use_case,
        source_table=made.range.table,
        source_snapshot_id=made.range.to_snapshot_id,
        source_from_snapshot_id=made.oldest_from_snapshot_id,
        feature_table=name,
        feature_snapshot_id=snapshot_id,
        range_ids=made.range_ids,
        feature_hash=made.feature_hash,
        model_version=version,
        run_key=lineage.run_key,
    )
    return ExportRows(origin, names)


def export(lake: Lake, rows: ExportRows, to: Path) -> int:
    """Write the rows, the whole file or none; a file that is there is replaced.

    Returns:
        How many.

    Raises:
        UserError: the file cannot be written.
        LakeloopError: the rows cannot be read.
    """
    if to.is_dir():
        raise UserError("this is a folder", where=str(to), fix="name a file with --to")
    origin = rows.origin
    batches = lake.read_batches(
        origin.feature_table, origin.feature_snapshot_id, rows.columns, origin.range_ids
    )
    scratch = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}")
    try:
        count = _write(scratch, batches, origin)
        scratch.replace(to)
    except OSError as error:
        raise UserError(
            f"the file cannot be written: {error}", where=str(to), fix="name another place with --to"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _write(path: Path, batches: Iterator[pa.RecordBatch], origin: Origin) -> int:
    """The rows, on disk when it returns; a file in a folder that is not there raises OSError."""
    from pyarrow import parquet

    first, count = next(batches), 0
    told = {**(first.schema.metadata or {}), METADATA_KEY: json.dumps(asdict(origin)).encode()}
    schema = first.schema.with_metadata(told)
    with path.open("wb") as file:
        with closing(parquet.ParquetWriter(file, schema, compression="zstd")) as writer:
            for batch in _with(first, batches):
                writer.write_batch(batch.replace_schema_metadata(told))
                count += batch.num_rows
        file.flush()
        os.fsync(file.fileno())
    return count


def _with(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
