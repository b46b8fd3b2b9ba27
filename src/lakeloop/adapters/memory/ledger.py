"""A ledger in memory, with the same compare-and-set."""

from __future__ import annotations

import threading

from lakeloop.domain.errors import ConflictError
from lakeloop.domain.ledger import LedgerEvent


class MemoryLedger:
    """Implements `lakeloop.ports.ledger.Ledger`; threads may share it."""

    def __init__(self) -> None:
        self._events: list[LedgerEvent] = []
        self._lock = threading.Lock()

    def head(self) -> str | None:
        """Number of events as text, None for an empty ledger."""
        return str(len(self._events)) if self._events else None

    def events(self, use_case: str, *, documents: bool = True) -> list[LedgerEvent]:
        """The use case's events in ledger order."""
        mine = [e for e in self._events if e.use_case == use_case]
        return mine if documents else [e.model_copy(update={"document": ""}) for e in mine]

    def append(self, event: LedgerEvent, expected_head: str | None) -> str:
        """Append unless `event.event_id` is there already; the new head.

        Raises:
            ConflictError: somebody appended since `expected_head` was read.
        """
        with self._lock:
            if not any(e.event_id == event.event_id for e in self._events):
                if self.head() != expected_head:
                    raise ConflictError(f"the ledger's head is {self.head()}, not {expected_head}")
                self._events.append(event)
            return str(len(self._events))
