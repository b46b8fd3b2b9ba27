"""Records of published batches that have moved out of the tables' own properties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lakeloop.domain.published_batches import BatchRecord


class BatchRecords(Protocol):
    """Kept for ever; of one batch id of one table, one record counts, whoever kept it first."""

    def keep(self, records: Sequence[BatchRecord]) -> None:
        """Durable on return; the same records again change nothing."""

    def of(self, table_uuid: str) -> tuple[BatchRecord, ...]:
        """All kept records of a table, oldest publication first."""
