"""Records of published batches in memory."""

from __future__ import annotations

from collections.abc import Sequence

from lakeloop.domain.published_batches import BatchRecord


class MemoryBatchRecords:
    """Implements `lakeloop.ports.batch_records.BatchRecords`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], BatchRecord] = {}

    def keep(self, records: Sequence[BatchRecord]) -> None:
        """Keep each once."""
        for record in records:
            self._kept.setdefault((record.table_uuid, record.batch_id, record.snapshot_id), record)

    def of(self, table_uuid: str) -> tuple[BatchRecord, ...]:
        """All kept records of a table, oldest publication first."""
        mine = [r for r in self._kept.values() if r.table_uuid == table_uuid]
        return tuple(sorted(mine, key=lambda r: (r.published_at_ms, r.batch_id)))
