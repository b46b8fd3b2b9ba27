"""Looking a batch up in a table, and keeping the record of it small."""

from __future__ import annotations

from lakeloop.domain.published_batches import (
    RECORD_PREFIX,
    BatchRecord,
    history_is_cut,
    landed_batches,
    overflowing,
    unrecorded,
)
from lakeloop.domain.snapshots import TableState
from lakeloop.ports.batch_records import BatchRecords


class LandedBatches:
    """What main holds, by its history and by the records beyond it."""

    def __init__(self, records: BatchRecords) -> None:
        self._records = records

    def find(self, state: TableState | None, batch_id: str) -> BatchRecord | None:
        """The publication of a batch; None where main does not hold it."""
        kept = self._records.of(state.table_uuid) if state is not None and history_is_cut(state) else ()
        return landed_batches(state, kept).get(batch_id)

    def make_room(self, state: TableState | None) -> tuple[str, ...]:
        """Keep the records that the table's properties have too many of; the properties that may go then."""
        moving = overflowing(state)
        if moving or unrecorded(state):
            self._records.keep([*moving, *unrecorded(state)])
        return tuple(RECORD_PREFIX + record.batch_id for record in moving)
