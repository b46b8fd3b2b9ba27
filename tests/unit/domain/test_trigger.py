"""When new snapshots start a run: each rule by its case, and what holds for every history."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id, watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.schedule import BySnapshots
from lakeloop.domain.snapshots import Snapshot, SnapshotRange, TableState
from lakeloop.domain.trigger import (
    Decision,
    burst,
    decide,
    submitted,
    trigger_key,
    triggered,
    unsettled_run,
)
from lakeloop.domain.use_case import SnapshotPolicy

NOW = 1_767_268_800_000
POLICY = BySnapshots(
    kind="snapshots",
    min_rows=100,
    quiet_seconds=30,
    longest_wait_seconds=600,
    cool_down_seconds=300,
    attempts=2,
)


def table(*commits: tuple[float, int], operation: str = "append") -> TableState:
    """A table by its commits: seconds before NOW, rows."""
    snapshots = tuple(
        Snapshot(
            snapshot_id=str(k),
            parent_id=str(k - 1) if k > 1 else None,
            sequence_number=k,
            timestamp_ms=NOW - int(ago * 1000),
            operation=operation,  # type: ignore[arg-type]
            summary={"added-records": str(rows), "total-records": str(rows * k)},
        )
        for k, (ago, rows) in enumerate(commits, 1)
    )
    head = snapshots[-1].snapshot_id if snapshots else None
    return TableState(name="bank.t", table_uuid="u", current_snapshot_id=head, snapshots=snapshots)


def range_to(snapshot_id: str, start: str | None = None) -> SnapshotRange:
    return SnapshotRange(table="bank.t", table_uuid="u", from_snapshot_id=start, to_snapshot_id=snapshot_id)


def event(
    kind: EventKind, ago: float, *, run: str = "r1", to: str | None = None, **more: object
) -> LedgerEvent:
    return LedgerEvent(
        event_id=event_id(f"{run} {ago} {to}", kind),
        use_case="fraud",
        kind=kind,
        at_ms=NOW - int(ago * 1000),
        by="someone",
        reason="",
        pipeline_run_id=run,
        range=range_to(to) if to else None,
        **more,  # type: ignore[arg-type]
    )


def started(
    to: str, ago: float, *, attempt: int = 1, run: str | None = "r1", owners: int = 1
) -> list[LedgerEvent]:
    """What starting a run leaves in the ledger; without a run id, only its beginning."""
    decision = Decision(
        action="start", reason="new", key=trigger_key("fraud", range_to(to), attempt), range=range_to(to)
    )
    at = NOW - int(ago * 1000)
    events = [
        triggered(decision, use_case="fraud", by="pod-1", owner=f"o{k}", now_ms=at) for k in range(owners)
    ]
    if run:
        events.append(submitted(decision, use_case="fraud", by="pod-1", now_ms=at, run_id=run))
    return events


def decided(
    state: TableState | None, events: Sequence[LedgerEvent] = (), policy: BySnapshots = POLICY, **more: object
) -> Decision:
    plan = plan_range(state, watermark(events), SnapshotPolicy())
    return decide(policy, plan, events, NOW, use_case="fraud", skew_ms=60_000, **more)  # type: ignore[arg-type]


QUIET = table((100, 500))


@pytest.mark.parametrize(
    ("state", "events", "action", "told"),
    [
        (None, [], "idle", "does not exist"),
        (QUIET, [], "start", "append-scan"),
        (table((100, 60)), [], "idle", "60 new rows, fewer than 100"),
        (table((10, 500)), [], "wait", "commits still come: 20 s"),
        (table((400, 5), (10, 500)), [], "wait", "commits still come"),
        (table(*[(650 - 20 * k, 10) for k in range(32)]), [], "start", "append-scan"),
        (table((-7200, 500)), [], "start", "append-scan"),
        (QUIET, [event("promoted", 50, to="1")], "idle", "no new snapshot"),
        (QUIET, [event("claimed", 50, lease_until_ms=NOW + 1000)], "wait", "r1 holds the use case"),
        (QUIET, [event("claimed", 5000, lease_until_ms=NOW - 100_000)], "start", "append-scan"),
        (
            QUIET,
            [*started("0", 20, run="r1"), event("rejected", 10, to="0")],
            "wait",
            "cooling down for 280 s",
        ),
        (QUIET, [*started("1", 400), event("rollout_failed", 390)], "start", "attempt 2"),
        (
            QUIET,
            started("1", 900, run="r1") + started("1", 400, attempt=2, run="r2"),
            "idle",
            "2 runs for this snapshot came to no outcome",
        ),
        (QUIET, started("1", 20, run=None), "wait", "pod-1 is starting a run"),
        (QUIET, started("1", 300, run=None), "recover", "pod-1 went silent"),
        (QUIET, started("1", 300, run=None, owners=2), "idle", "was to be started, and was not"),
        (QUIET, started("0", 500, run=None, owners=2), "start", "append-scan"),
        (table((100, 500), operation="delete"), [event("promoted", 999, to="0")], "start", "refuse"),
        (
            table((100, 500), operation="delete"),
            [event("promoted", 999, to="0"), event("refused", 90)],
            "idle",
            "a person has to decide",
        ),
    ],
)
def test_each_rule(state: TableState | None, events: list[LedgerEvent], action: str, told: str) -> None:
    decision = decided(state, events)
    assert (decision.action, told in decision.reason) == (action, True), decision


def test_a_run_that_goes_on_is_waited_for() -> None:
    events = started("1", 4000)
    assert unsettled_run(events) == "r1"
    decision = decided(table((5000, 500), (100, 500)), events, run_goes_on=True)
    assert (decision.action, decision.reason) == ("wait", "run r1 goes on")
    assert unsettled_run([*events, event("refused", 10)]) is None


def test_recovering_keeps_the_key_and_a_new_attempt_does_not() -> None:
    first = decided(QUIET)
    recovered = decided(QUIET, started("1", 300, run=None))
    again = decided(QUIET, [*started("1", 400), event("rollout_failed", 390)])
    assert recovered.key == first.key
    assert recovered.occurrence == 1
    assert again.key != first.key


def test_two_deciders_make_two_events_so_that_one_of_them_loses() -> None:
    decision = decided(QUIET)
    ids = {
        triggered(decision, use_case="fraud", by="pod", owner=owner, now_ms=NOW).event_id for owner in "ab"
    }
    assert len(ids) == 2


def test_commits_closer_than_the_quiet_time_are_one_series() -> None:
    state = table((5000, 1), (40, 1), (20, 1), (5, 1))
    assert burst(state.snapshots, 30_000) == (NOW - 40_000, NOW - 5000)
    assert burst((), 30_000) == (None, None)


kinds = st.sampled_from(["claimed", "released", "refused", "promoted", "rejected", "triggered", "submitted"])
moments = st.integers(min_value=-4_000_000, max_value=4_000_000)


@st.composite
def events_(draw: st.DrawFn) -> list[LedgerEvent]:
    found = []
    for k in range(draw(st.integers(0, 8))):
        kind, range_ = draw(kinds), range_to(draw(st.sampled_from(["0", "1", "2"])))
        found.append(
            LedgerEvent(
                event_id=str(k),
                use_case="fraud",
                kind=kind,
                at_ms=NOW + draw(moments),
                by="x",
                reason="",
                pipeline_run_id=draw(st.sampled_from(["r1", "r2", ""])),
                run_key=trigger_key("fraud", range_, draw(st.integers(1, 3))),
                range=range_ if kind in {"triggered", "submitted"} or draw(st.booleans()) else None,
                lease_until_ms=NOW + draw(moments) if kind in {"claimed", "triggered"} else None,
            )
        )
    return found


@given(
    events=events_(),
    commits=st.lists(st.tuples(st.floats(-5000, 5000), st.integers(0, 10**6)), max_size=4),
    goes_on=st.booleans(),
    policy=st.builds(
        BySnapshots,
        kind=st.just("snapshots"),
        min_rows=st.integers(1, 1000),
        quiet_seconds=st.floats(0, 1000),
        longest_wait_seconds=st.floats(0, 1000),
        cool_down_seconds=st.floats(0, 1000),
        attempts=st.integers(1, 3),
    ),
)
def test_every_history_gets_one_answer_that_starts_nothing_beside_another_run(
    events: list[LedgerEvent], commits: list[tuple[float, int]], goes_on: bool, policy: BySnapshots
) -> None:
    state = table(*commits)
    plan = plan_range(state, watermark(events), SnapshotPolicy())
    said = [
        decide(policy, plan, events, NOW, use_case="fraud", skew_ms=60_000, run_goes_on=goes_on)
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert said[0].reason
    if said[0].action in {"start", "recover"}:
        assert said[0].key
        assert said[0].range is not None
    if said[0].action == "start":
        assert not goes_on
        assert plan.action != "nothing"
        assert said[0].key not in {e.run_key for e in events if e.kind == "triggered"}
