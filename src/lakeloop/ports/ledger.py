"""The ledger: who consumed which snapshots, to what end."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.ledger import LedgerEvent


class Ledger(Protocol):
    """Append-only; an append is a compare-and-set on the ledger's head."""

    def head(self) -> str | None:
        """Identity of the last append, None for an empty ledger."""

    def events(self, use_case: str, *, documents: bool = True) -> list[LedgerEvent]:
        """The use case's events in ledger order; without `documents` (then empty) it is much cheaper."""

    def append(self, event: LedgerEvent, expected_head: str | None) -> str:
        """Append unless `event.event_id` is there already; the new head.

        Raises:
            ConflictError: somebody appended since `expected_head` was read.
        """
