"""Which batches a table holds, also when the snapshots that brought them have expired. Pure.

A batch's record is written into the table's own properties by the very commit that publishes it (a transactional
outbox), so that no crash can part the two; expire_snapshots leaves properties alone. Once the records there become
many, they move to a table of their own, and the next publication removes them from the properties.
docs/adr/0009-exactly-once-ingest.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import Field, ValidationError

from lakeloop.domain.base import Frozen
from lakeloop.domain.batch import BATCH_ID_PROPERTY, BATCH_NUMBER_PROPERTY, SOURCE_FILES_PROPERTY
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.snapshots import Ancestry, Snapshot, TableState, ancestry, parent_is_erased
from lakeloop.domain.source_files import SourceFile, parse_source_files

RECORD_PREFIX = "lakeloop.published."
SINCE_PROPERTY = "lakeloop.published-since"
FROM_THE_START = "start"
MOST_OPEN_RECORDS = 32
_UNKNOWN = "unknown"
MOST_OPEN_CHARACTERS = 64 * 1024


class BatchRecord(Frozen):
    """One publication of one batch."""

    table_uuid: str
    batch_id: str
    snapshot_id: str
    parent_id: str | None = None
    sequence_number: int = Field(default=0, description="Of the snapshot; 0 in tables of format version 1.")
    published_at_ms: int = Field(description="When its rows were committed, milliseconds since the epoch.")
    number: int | None = None
    rows: int | None = None
    source_files: tuple[SourceFile, ...] = ()


def record_of(state: TableState, snapshot: Snapshot) -> BatchRecord | None:
    """The record of the batch that a snapshot brought, by its summary; None where it brought none."""
    batch_id = snapshot.summary.get(BATCH_ID_PROPERTY)
    if not batch_id:
        return None
    number = snapshot.summary.get(BATCH_NUMBER_PROPERTY, "")
    return BatchRecord(
        table_uuid=state.table_uuid,
        batch_id=batch_id,
        snapshot_id=snapshot.snapshot_id,
        parent_id=snapshot.parent_id,
        sequence_number=snapshot.sequence_number,
        published_at_ms=snapshot.timestamp_ms,
        number=int(number) if number.isdecimal() else None,
        rows=snapshot.count("added-records"),
        source_files=parse_source_files(snapshot.summary.get(SOURCE_FILES_PROPERTY) or "[]"),
    )


def main_history(state: TableState | None) -> Ancestry:
    """Main's ancestry; of no table and of a table without a snapshot it is empty and whole."""
    if state is None or state.current_snapshot_id is None:
        return Ancestry(snapshots=(), end="root")
    return ancestry(state)


def history_is_cut(state: TableState | None) -> bool:
    """Whether main's history does not tell every batch by itself."""
    return main_history(state).end != "root"


def knows_every_batch(state: TableState | None) -> bool:
    """Whether history and records together name all batches since the table was made."""
    if state is None or not history_is_cut(state):
        return True
    return state.properties.get(SINCE_PROPERTY) == FROM_THE_START


def open_records(state: TableState) -> tuple[BatchRecord, ...]:
    """Records in the table's properties, of this table, oldest first.

    Raises:
        LakeloopError: somebody wrote something else there.
    """
    texts = {k: v for k, v in state.properties.items() if k.startswith(RECORD_PREFIX)}
    try:
        found = [BatchRecord.model_validate_json(text) for text in texts.values()]
    except ValidationError as error:
        raise LakeloopError(
            f"a record of a published batch cannot be read: {error.errors()[0]['msg']}",
            where=f"properties {RECORD_PREFIX}* of {state.name}",
            fix="restore the property, or unset it when that batch is not in the table",
        ) from error
    mine = [r for r in found if r.table_uuid == state.table_uuid]
    return tuple(sorted(mine, key=lambda r: (r.published_at_ms, r.batch_id)))


def landed_batches(state: TableState | None, kept: Iterable[BatchRecord] = ()) -> dict[str, BatchRecord]:
    """Batches whose rows main holds, by batch id.

    Main's retained history decides as far as it reaches. Beyond it decide the records: one counts unless its
    snapshot cannot be an ancestor of main's head, that is, was rolled back. What cannot be known any more counts as
    landed: the batch is then told to be there, by name, instead of landing twice in silence.

    Args:
        state: the table; None for no table.
        kept: records that have moved out of the properties; needed where `history_is_cut`.
    """
    if state is None:
        return {}
    history = main_history(state)
    told = [record_of(state, s) for s in reversed(history.snapshots)]
    by_history = {r.batch_id: r for r in told if r is not None}
    if history.end == "root":
        return by_history
    mine = [r for r in (*kept, *open_records(state)) if r.table_uuid == state.table_uuid]
    beyond = _beyond(history, state, mine)
    return {**{r.batch_id: r for r in beyond if r.batch_id not in by_history}, **by_history}


def _beyond(history: Ancestry, state: TableState, records: Sequence[BatchRecord]) -> list[BatchRecord]:
    """Records that the cut-off part of main's history may hold, oldest first.

    A retained snapshot that the ancestry does not reach proves nothing: a tag may hold it while what lies between
    has expired. But parents have smaller sequence numbers (Iceberg spec, "Sequence Numbers"): at the gap, what was
    committed after its newer end is no ancestor.
    """
    commits: dict[str, BatchRecord | Snapshot] = {r.snapshot_id: r for r in records}
    commits |= {s.snapshot_id: s for s in state.snapshots}
    chain, at = dict[str, int](), history.snapshots[0].snapshot_id if history.snapshots else None
    by_record = {r.snapshot_id: r.parent_id or _UNKNOWN for r in records}
    while at is not None and at in commits and at not in chain:
        commit = commits[at]
        chain[at] = commit.sequence_number
        erased = isinstance(commit, Snapshot) and parent_is_erased(commit)
        at = by_record.get(at, _UNKNOWN) if erased else commit.parent_id
    newest_unknown = min(chain.values(), default=0) if at is not None else 0
    has_gap, numbered = at is not None, newest_unknown > 0
    found = [
        r
        for r in records
        if r.snapshot_id in chain or (has_gap and (not numbered or r.sequence_number < newest_unknown))
    ]
    return sorted(found, key=lambda r: (r.published_at_ms, r.batch_id))


def unrecorded(state: TableState | None) -> tuple[BatchRecord, ...]:
    """Batches that a table without any record holds by its history: to be recorded before the first expiry."""
    if state is None or SINCE_PROPERTY in state.properties:
        return ()
    return tuple(landed_batches(state.model_copy(update={"properties": {}})).values())


def overflowing(state: TableState | None) -> tuple[BatchRecord, ...]:
    """Open records that are to move out of the properties; none while they are few and short."""
    if state is None:
        return ()
    found = open_records(state)
    size = sum(len(v) for k, v in state.properties.items() if k.startswith(RECORD_PREFIX))
    return found if len(found) >= MOST_OPEN_RECORDS or size > MOST_OPEN_CHARACTERS else ()


def record_properties(state: TableState | None, record: BatchRecord) -> dict[str, str]:
    """Table properties that the publishing commit sets."""
    since = main_history(state)
    start = FROM_THE_START if since.end == "root" else since.snapshots[-1].snapshot_id
    properties = {RECORD_PREFIX + record.batch_id: record.canonical_json()}
    known = state is not None and SINCE_PROPERTY in state.properties
    return properties if known else {**properties, SINCE_PROPERTY: start}
