"""Holding a use case while a step works on it, by the ledger's compare-and-set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lakeloop.domain.claim_texts import held, moved_on, outdated, told
from lakeloop.domain.claims import Claim, ClaimDecision, claim_decision, claimed, current_claim, released
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.ports.ledger import Ledger

ATTEMPTS = 20
JOIN_SECONDS = 60.0
MILLISECONDS = 1000


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def live_holder(
    ledger: Ledger,
    use_case: str,
    skew_ms: int,
    ended: Callable[[str], bool],
    clock: Callable[[], int] = now_ms,
) -> str | None:
    """Who holds a use case and may still be at work; None where nobody does.

    Args:
        ledger: where claims are.
        use_case: what is held.
        skew_ms: by how much two machines' clocks may differ.
        ended: whether an owner is known for certain to have ended.
        clock: milliseconds since the epoch.
    """
    claim = current_claim(ledger.events(use_case, documents=False))
    if claim is None or ended(claim.owner) or clock() >= claim.until_ms + skew_ms:
        return None
    return claim.owner


@dataclass(frozen=True)
class Claimant:
    """A pipeline run, or a change by hand, that wants to hold a use case.

    Args:
        ledger: where claims are.
        use_case: what is held.
        owner: pipeline run id: each step of a run, and each attempt, is the same owner.
        by: the person or machine behind it.
        lease_seconds: how long a claim lasts unless it is renewed; a silent owner is taken over after that.
        skew_seconds: by how much the clocks of two machines may differ.
        ended: whether an owner is known for certain to have ended.
        yields: take over whoever holds it.
        advice: what else to do when somebody else holds it.
        tell: told of a takeover, and of a renewal that failed.
        clock: milliseconds since the epoch.
    """

    ledger: Ledger
    use_case: str
    owner: str
    by: str
    lease_seconds: float
    skew_seconds: float = 60.0
    ended: Callable[[str], bool] = lambda _: False
    yields: bool = False
    advice: str = ""
    tell: Callable[[str], None] = lambda _: None
    clock: Callable[[], int] = field(default=now_ms)

    def claim(
        self,
        range_: SnapshotRange | None,
        reason: str,
        *,
        document: str = "",
        still: Callable[[Sequence[LedgerEvent]], bool] = lambda _: True,
    ) -> None:
        """Hold the use case from now on; what is held already is renewed once half of its lease is over.

        Args:
            range_: what is trained on; None by hand.
            reason: what for.
            document: JSON of the plan.
            still: whether the events allow what the claim is for, e.g. that the plan is still the right one.

        Raises:
            ConflictError: another holds it, has consumed this range, or was faster `ATTEMPTS` times.
        """
        for _ in range(ATTEMPTS):
            head = self.ledger.head()
            events = self.ledger.events(self.use_case, documents=False)
            decision = self._decide(events, range_)
            if not still(events):
                raise moved_on(self.use_case)
            if decision.outcome == "granted" and self._fresh(decision.holder, range_):
                return
            text = told(decision, reason)
            event = self._event(events, range_, text, document)
            try:
                self.ledger.append(event, head)
            except ConflictError:
                continue
            if decision.outcome == "taken_over":
                self.tell(text)
            return
        raise ConflictError(
            f"the use case was not claimed: {ATTEMPTS} times another writer was faster",
            where=f"ledger of {self.use_case}",
            fix="run again",
        )

    def release(self, reason: str) -> bool:
        """Free the use case; False where it was not held by this owner any more."""
        for _ in range(ATTEMPTS):
            head = self.ledger.head()
            events = self.ledger.events(self.use_case, documents=False)
            event = released(
                events,
                use_case=self.use_case,
                owner=self.owner,
                by=self.by,
                now_ms=self.clock(),
                reason=reason,
            )
            if event is None:
                return False
            try:
                self.ledger.append(event, head)
            except ConflictError:
                continue
            return True
        return False  # its lease runs out

    def holds(self, events: Sequence[LedgerEvent]) -> bool:
        """Whether, by these events, this owner holds the use case."""
        claim = current_claim(events)
        return claim is not None and claim.owner == self.owner

    @contextmanager
    def holding(
        self,
        range_: SnapshotRange | None,
        reason: str,
        *,
        document: str = "",
        still: Callable[[Sequence[LedgerEvent]], bool] = lambda _: True,
    ) -> Iterator[None]:
        """Claim, and renew in the background for as long as the body takes; nothing is released at its end.

        Raises:
            ConflictError: as `claim`.
        """
        self.claim(range_, reason, document=document, still=still)
        done = threading.Event()
        renewing = threading.Thread(target=self._keep, args=(range_, reason, done), name="claim", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join(timeout=JOIN_SECONDS)

    def _keep(self, range_: SnapshotRange | None, reason: str, done: threading.Event) -> None:
        while not done.wait(self.lease_seconds / 3):
            try:
                if not self.holds(self.ledger.events(self.use_case, documents=False)):
                    return
                self.claim(range_, reason, still=self.holds)
            except ConflictError:
                return  # it has ended, or was taken over: who needs the claim looks again, and is told
            except LakeloopError as error:
                self.tell(f"the claim was not renewed, next try in {self.lease_seconds / 3:g} s: {error}")

    def _decide(self, events: Sequence[LedgerEvent], range_: SnapshotRange | None) -> ClaimDecision:
        holder = current_claim(events)
        other = holder is not None and holder.owner != self.owner
        yields = self.yields or (other and holder is not None and self.ended(holder.owner))
        skew_ms = int(self.skew_seconds * MILLISECONDS)
        decision = claim_decision(events, self.owner, self.clock(), range_, skew_ms=skew_ms, yields=yields)
        if decision.outcome == "held" and decision.holder is not None:
            raise held(self.use_case, decision.holder, skew_ms, self.advice)
        if decision.outcome == "outdated" and decision.consumed is not None:
            raise outdated(self.use_case, decision.consumed)
        return decision

    def _fresh(self, mine: Claim | None, range_: SnapshotRange | None) -> bool:
        if mine is None or mine.range != range_:
            return False
        return mine.until_ms - self.clock() > self.lease_seconds * MILLISECONDS / 2

    def _event(
        self, events: Sequence[LedgerEvent], range_: SnapshotRange | None, reason: str, document: str
    ) -> LedgerEvent:
        return claimed(
            events,
            use_case=self.use_case,
            owner=self.owner,
            by=self.by,
            range_=range_,
            now_ms=self.clock(),
            lease_ms=int(self.lease_seconds * MILLISECONDS),
            reason=reason,
            document=document,
        )
