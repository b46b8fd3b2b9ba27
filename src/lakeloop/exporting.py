"""A use case's training rows as one Parquet file."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import built_ranges, feature_table
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.snapshots import RANGE_ID_COLUMN
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ExportRows:
    """Which rows of which feature table, in which columns."""

    table: str
    snapshot_id: str
    range_ids: tuple[str, ...]
    columns: tuple[str, ...]


def rows_computed(lake: Lake, use_case: UseCase) -> ExportRows:
    """All rows that were computed by the use case's features as they are declared now.

    Raises:
        UserError: there are none yet.
    """
    source = lake.table_state(use_case.table.name)
    if source is not None:
        table = feature_table(use_case, {c.name: c.type for c in source.columns})
        for name in (table.name, f"{table.name}_{table.hash[:8]}"):
            state = lake.table_state(name)
            built = built_ranges(state, table.hash)
            if state is not None and built:
                names = tuple(c.name for c in table.columns)
                return ExportRows(name, str(state.current_snapshot_id), tuple(built), names)
    raise UserError(
        "no features have been computed as they are declared now",
        where=use_case.name,
        fix=f"lakeloop run {use_case.name}",
    )


def rows_of(training_set: TrainingSet, lake: Lake) -> ExportRows:
    """Exactly the rows of one training.

    Raises:
        UserError: the feature table does not have them any more.
    """
    name, snapshot_id = training_set.feature_table, training_set.feature_snapshot_id
    state = lake.table_state(name)
    found = next((s for s in state.snapshots if s.snapshot_id == snapshot_id), None) if state else None
    if state is None or found is None:
        raise UserError(
            f"its feature rows are gone: snapshot {snapshot_id} of {name}",
            where=training_set.use_case,
            fix="export another version, or none for the rows of today",
        )
    schema = state.schemas.get(found.schema_id or 0, state.columns)
    names = tuple(c.name for c in schema if c.name != RANGE_ID_COLUMN)
    return ExportRows(name, snapshot_id, training_set.range_ids, names)


def export(lake: Lake, rows: ExportRows, to: Path) -> int:
    """Write the rows, the whole file or none; a file that is there is replaced.

    Returns:
        How many.

    Raises:
        UserError: the file cannot be written.
    """
    from pyarrow import parquet

    batches = lake.read_batches(rows.table, rows.snapshot_id, rows.columns, rows.range_ids)
    scratch, count = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}"), 0
    try:
        first = next(batches)
        with parquet.ParquetWriter(scratch, first.schema, compression="zstd") as writer:
            for batch in _with(first, batches):
                writer.write_batch(batch)
                count += batch.num_rows
        scratch.replace(to)
    except OSError as error:
        raise UserError(
            f"the file cannot be written: {error}", where=str(to), fix="name another place with --to"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _with(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
