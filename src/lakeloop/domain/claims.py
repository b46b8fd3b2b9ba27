"""Claims: one training at a time for a use case, however it was started.

A claim is a lease in the ledger (Gray and Cheriton, 1989), and the ledger's compare-and-set is its fence: who
decides here on the events that it read, and then appends on exactly that head, cannot hold what another holds.
Clocks only say when a silent owner may be taken over, never who holds: a claim counts as live until its lease
has run out by `skew_ms` more, and its owner looks again before it makes anything visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.ledger import CONSUMING, ENDING, LedgerEvent, event_id
from lakeloop.domain.snapshots import SnapshotRange

Outcome = Literal["granted", "taken_over", "held", "outdated"]


class Claim(Frozen):
    """Who holds a use case, over several renewals."""

    owner: str = Field(description="Pipeline run id, or the id of a rollback or promotion by hand.")
    by: str
    since_ms: int
    until_ms: int
    range: SnapshotRange | None = Field(description="What is being trained on; None by hand.")


class ClaimDecision(Frozen):
    """Whether the claimant may go on.

    granted: the use case is free, or the claimant's own. taken_over: `holder` let its lease run out, or has
    ended, or was told to yield. held: by `holder`. outdated: since the claimant first claimed this range, another
    run has consumed one (`consumed`): going on would consume snapshots twice.
    """

    outcome: Outcome
    holder: Claim | None = None
    consumed: LedgerEvent | None = None


def current_claim(events: Sequence[LedgerEvent]) -> Claim | None:
    """Who holds the use case now by the ledger, its lease run out or not; None where nobody does.

    Args:
        events: of one use case, in ledger order.
    """
    claim: Claim | None = None
    for event in events:
        if event.kind == "claimed" and event.lease_until_ms is not None:
            mine = claim is not None and claim.owner == event.pipeline_run_id
            claim = Claim(
                owner=event.pipeline_run_id,
                by=event.by,
                since_ms=claim.since_ms if claim and mine else event.at_ms,
                until_ms=event.lease_until_ms,
                range=event.range,
            )
        elif event.kind in ENDING and claim is not None and event.pipeline_run_id == claim.owner:
            claim = None
    return claim


def claim_decision(  # noqa: PLR0913 - facts of one decision
    events: Sequence[LedgerEvent],
    owner: str,
    now_ms: int,
    range_: SnapshotRange | None,
    *,
    skew_ms: int = 0,
    yields: bool = False,
) -> ClaimDecision:
    """Whether `owner` may hold the use case now.

    Args:
        events: of the use case, in ledger order; the claim must be appended on the head that they were read at.
        owner: who asks.
        now_ms: by the asking machine's clock.
        range_: what is to be trained on; None for a change by hand, which consumes nothing.
        skew_ms: by how much two machines' clocks may differ.
        yields: the present holder is known to have ended, or is told to yield.
    """
    consumed = _consumed_by_others(events, owner, range_)
    if consumed is not None:
        return ClaimDecision(outcome="outdated", consumed=consumed)
    holder = current_claim(events)
    if holder is None or holder.owner == owner:
        return ClaimDecision(outcome="granted", holder=holder)
    live = now_ms < holder.until_ms + skew_ms
    return ClaimDecision(outcome="held" if live and not yields else "taken_over", holder=holder)


def _consumed_by_others(
    events: Sequence[LedgerEvent], owner: str, range_: SnapshotRange | None
) -> LedgerEvent | None:
    """The last event by which another consumed a range after `owner` first claimed this one."""
    if range_ is None:
        return None
    claimed_at = next(
        (i for i, e in enumerate(events) if _claims(e, owner) and e.range == range_), len(events)
    )
    later = [e for e in events[claimed_at:] if e.kind in CONSUMING and e.range is not None]
    return next((e for e in reversed(later) if e.pipeline_run_id != owner), None)


def _claims(event: LedgerEvent, owner: str) -> bool:
    return event.kind == "claimed" and event.pipeline_run_id == owner


def claimed(  # noqa: PLR0913 - one field each
    events: Sequence[LedgerEvent],
    *,
    use_case: str,
    owner: str,
    by: str,
    range_: SnapshotRange | None,
    now_ms: int,
    lease_ms: int,
    reason: str,
    document: str = "",
) -> LedgerEvent:
    """A claim, or its renewal; each is an event of its own.

    Args:
        events: of the use case, that the decision was made on.
        use_case: what is held.
        owner: who holds it.
        by: the person or machine behind the owner.
        range_: what is trained on.
        now_ms: when the lease begins.
        lease_ms: how long it lasts.
        reason: what for.
        document: JSON of the plan, with a training's first claim.
    """
    return LedgerEvent(
        event_id=event_id(owner, "claimed", f"{len(events)} {now_ms}"),
        use_case=use_case,
        kind="claimed",
        at_ms=now_ms,
        by=by,
        reason=reason,
        pipeline_run_id=owner,
        range=range_,
        lease_until_ms=now_ms + lease_ms,
        document=document,
    )


def released(  # noqa: PLR0913 - one field each
    events: Sequence[LedgerEvent], *, use_case: str, owner: str, by: str, now_ms: int, reason: str
) -> LedgerEvent | None:
    """The event that frees the use case; None where `owner` does not hold it."""
    claim = current_claim(events)
    if claim is None or claim.owner != owner:
        return None
    return LedgerEvent(
        event_id=event_id(owner, "released", f"{len(events)} {now_ms}"),
        use_case=use_case,
        kind="released",
        at_ms=now_ms,
        by=by,
        reason=reason,
        pipeline_run_id=owner,
        range=claim.range,
    )
