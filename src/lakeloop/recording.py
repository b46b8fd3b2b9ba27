"""Recording an event in the ledger, whoever else is appending."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lakeloop.domain.errors import ConflictError
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.ports.ledger import Ledger

ATTEMPTS = 20


def record(
    ledger: Ledger,
    event: LedgerEvent,
    attempts: int = ATTEMPTS,
    still_valid: Callable[[Sequence[LedgerEvent]], bool] | None = None,
) -> str:
    """Append the event on top of whatever the ledger holds; the head that contains it.

    Recording the same `event_id` again is a no-op, so a step may be retried after any crash. A lost race is
    no reason to wait: another event went in, so that a bounded number of attempts suffices.

    Args:
        ledger: where.
        event: what; its `event_id` is its identity.
        attempts: how many lost races are borne.
        still_valid: given the use case's events as of each attempt, whether the event may still be recorded.

    Raises:
        ConflictError: the event is not valid any more, or every attempt lost its race.
    """
    for _ in range(attempts):
        head = ledger.head()
        if still_valid is not None and not _holds(ledger, event, still_valid):
            raise ConflictError(
                f"{event.kind!r} is not valid any more: the ledger has moved on",
                where=f"ledger of {event.use_case}",
                fix="see lakeloop history, and run again if it is still wanted",
            )
        try:
            return ledger.append(event, head)
        except ConflictError:
            continue
    raise ConflictError(
        f"{event.kind!r} was not recorded: {attempts} times another writer was faster",
        where=f"ledger of {event.use_case}",
        fix="run the step again",
    )


def _holds(ledger: Ledger, event: LedgerEvent, still_valid: Callable[[Sequence[LedgerEvent]], bool]) -> bool:
    events = ledger.events(event.use_case, documents=False)
    return any(e.event_id == event.event_id for e in events) or still_valid(events)
