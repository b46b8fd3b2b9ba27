"""Who may hold a use case: the decision, and its law under any interleaving."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloop.domain.claims import Claim, claim_decision, claimed, current_claim, released
from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id, watermark
from lakeloop.domain.snapshots import SnapshotRange

LEASE, SKEW = 1_000, 100


def range_to(snapshot: str) -> SnapshotRange:
    return SnapshotRange(table="bank.t", table_uuid="u", from_snapshot_id=None, to_snapshot_id=snapshot)


def claim(
    events: list[LedgerEvent], owner: str, at: int, range_: SnapshotRange | None = None
) -> list[LedgerEvent]:
    made = claimed(
        events,
        use_case="fraud",
        owner=owner,
        by="ana@laptop",
        range_=range_,
        now_ms=at,
        lease_ms=LEASE,
        reason="training",
    )
    return [*events, made]


def end(
    events: list[LedgerEvent], kind: EventKind, owner: str, range_: SnapshotRange | None = None
) -> list[LedgerEvent]:
    made = LedgerEvent(
        event_id=event_id(owner, kind, str(len(events))),
        use_case="fraud",
        kind=kind,
        at_ms=0,
        by="ana@laptop",
        reason="",
        pipeline_run_id=owner,
        range=range_,
    )
    return [*events, made]


def test_a_free_use_case_is_granted_and_the_owner_renews_its_own() -> None:
    assert claim_decision([], "run-a", 0, range_to("5")).outcome == "granted"
    events = claim(claim([], "run-a", 0, range_to("5")), "run-a", 900, range_to("5"))
    held = Claim(owner="run-a", by="ana@laptop", since_ms=0, until_ms=1_900, range=range_to("5"))
    assert current_claim(events) == held
    assert claim_decision(events, "run-a", 50_000, range_to("5")).outcome == "granted"


@pytest.mark.parametrize(("at", "outcome"), [(1, "held"), (1_099, "held"), (1_100, "taken_over")])
def test_another_waits_for_the_lease_and_the_skew_of_clocks(at: int, outcome: str) -> None:
    events = claim([], "run-a", 0, range_to("5"))
    decision = claim_decision(events, "run-b", at, range_to("5"), skew_ms=SKEW)
    assert (decision.outcome, decision.holder) == (outcome, current_claim(events))


def test_a_holder_that_is_known_to_have_ended_is_taken_over_at_once() -> None:
    events = claim([], "run-a", 0, range_to("5"))
    assert claim_decision(events, "run-b", 1, range_to("5"), yields=True).outcome == "taken_over"


@pytest.mark.parametrize(
    "kind",
    [
        "promoted",
        "rejected",
        "skipped",
        "rollout_failed",
        "refused",
        "batch_refused",
        "released",
        "rolled_back",
    ],
)
def test_each_end_frees_the_use_case_but_only_by_its_holder(kind: EventKind) -> None:
    events = claim([], "run-a", 0)
    assert current_claim(end(events, kind, "run-a")) is None
    assert current_claim(end(events, kind, "run-b")) == current_claim(events)


def test_a_verdict_in_favour_frees_nothing_and_consumes_nothing() -> None:
    events = end(claim([], "run-a", 0, range_to("5")), "accepted", "run-a", range_to("5"))
    assert current_claim(events) is not None
    assert watermark(events) is None


def test_who_comes_back_after_another_consumed_snapshots_is_out_of_date() -> None:
    events = end(claim([], "run-a", 0, range_to("5")), "released", "run-a")
    events = end(claim(events, "run-b", 5, range_to("6")), "promoted", "run-b", range_to("6"))
    decision = claim_decision(events, "run-a", 10, range_to("5"))
    assert decision.outcome == "outdated"
    assert decision.consumed == events[-1]
    assert claim_decision(events, "run-a", 10, range_to("7")).outcome == "granted", "planned anew"
    assert claim_decision(events, "run-b", 10, range_to("6")).outcome == "granted", "its own outcome"


def test_a_rollback_by_hand_does_not_outdate_a_training() -> None:
    events = end(claim([], "run-a", 0, range_to("5")), "released", "run-a")
    events = end(claim(events, "rollback-1", 5), "rolled_back", "rollback-1")
    assert claim_decision(events, "run-a", 10, range_to("5")).outcome == "granted"


def test_only_the_holder_has_something_to_release() -> None:
    events = claim([], "run-a", 0, range_to("5"))
    values = {"use_case": "fraud", "by": "ana@laptop", "now_ms": 9, "reason": "failed"}
    assert released(events, owner="run-b", **values) is None
    freed = released(events, owner="run-a", **values)
    assert freed is not None
    assert current_claim([*events, freed]) is None
    assert released([*events, freed], owner="run-a", **values) is None


@dataclass
class Machine:
    """A claimant with its own clock: reads, decides, then appends on the head that it read, or loses the race."""

    owner: str
    offset: int
    read: list[LedgerEvent] | None = None
    believes_until: int = field(default=-(10**9))

    def step(self, ledger: list[LedgerEvent], what: str, now: int) -> None:
        if what == "read":
            self.read = list(ledger)
        elif what == "claim" and self.read is not None:
            self._claim(ledger, now + self.offset)
            self.read = None
        elif what == "release" and self.believes(now):
            freed = released(ledger, use_case="fraud", owner=self.owner, by="", now_ms=now, reason="")
            ledger.extend([freed] if freed else [])
            self.believes_until = -(10**9)

    def _claim(self, ledger: list[LedgerEvent], clock: int) -> None:
        assert self.read is not None
        decision = claim_decision(self.read, self.owner, clock, range_to("5"), skew_ms=SKEW)
        if decision.outcome not in {"granted", "taken_over"} or len(self.read) != len(ledger):
            return
        ledger.extend(claim(self.read, self.owner, clock, range_to("5"))[-1:])
        self.believes_until = clock + LEASE

    def believes(self, now: int) -> bool:
        """Within the lease by its own clock."""
        return now + self.offset < self.believes_until


OFFSETS = st.sampled_from([-SKEW // 2, 0, SKEW // 2]) | st.integers(-SKEW // 2, SKEW // 2)
PASSES = st.sampled_from([0, 0, 1, LEASE - SKEW, LEASE - 1, LEASE, LEASE + SKEW]) | st.integers(0, 2 * LEASE)
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["read", "claim", "read, claim", "release"]), PASSES),
    max_size=40,
)


@example((-SKEW // 2, SKEW // 2, 0), [(0, "read, claim", 0), (1, "read, claim", LEASE - SKEW)])
@given(st.tuples(OFFSETS, OFFSETS, OFFSETS), STEPS)
def test_at_most_one_holds_under_any_interleaving_and_clocks_within_the_tolerance(
    offsets: tuple[int, int, int], steps: list[tuple[int, str, int]]
) -> None:
    machines = [Machine(f"run-{i}", offset) for i, offset in enumerate(offsets)]
    ledger: list[LedgerEvent] = []
    now = 0
    for index, what, passes in steps:
        now += passes
        for part in what.split(", "):
            machines[index].step(ledger, part, now)
        believing = [machine.owner for machine in machines if machine.believes(now)]
        assert len(believing) <= 1
        holder = current_claim(ledger)
        assert believing in ([], [holder.owner if holder else None])
    assert len({event.event_id for event in ledger}) == len(ledger)
