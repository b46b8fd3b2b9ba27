"""Whether new snapshots start a run: pure, total, deterministic.

The ledger is the cursor. `triggered` says that somebody is about to start the run of a key, `submitted` that it was
started, and as which run; a key is made of the table, the last snapshot and the attempt, and is part of the run's
name. Who decides here on the events that it read, and then appends on exactly that head, is alone; who died between
the two events is followed, after its lease, by whoever finds or starts the run of that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.claims import current_claim
from lakeloop.domain.ledger import CONSUMING, ENDING, LedgerEvent, event_id
from lakeloop.domain.plan import Plan
from lakeloop.domain.schedule import BySnapshots
from lakeloop.domain.snapshots import Snapshot, SnapshotRange

LEASE_MS = 180_000
"""Within this, who wrote `triggered` has started the run or given up."""
_TRIGGER_KINDS = frozenset({"triggered", "submitted"})


class Decision(Frozen):
    """What to do now, and why.

    start: append `triggered`, then start the run of `key`. recover: the same for a key whose first owner went silent;
    its run may be there. wait: ask again later. idle: nothing to do until somebody commits, or decides.
    """

    action: Literal["start", "recover", "wait", "idle"]
    reason: str
    key: str = ""
    range: SnapshotRange | None = None
    occurrence: int = Field(default=0, ge=0, description="How many owners the key had before.")


def trigger_key(use_case: str, range_: SnapshotRange, attempt: int) -> str:
    """Identity of a triggered run, 16 hex digits.

    Args:
        use_case: its name.
        range_: what is new; where it begins is no part of it.
        attempt: 1, or more where earlier runs for the same snapshot failed without an outcome.
    """
    value = [use_case, range_.table_uuid, range_.to_snapshot_id, attempt]
    return sha256_hex(canonical_json(value))[:16]


def unsettled_run(events: Sequence[LedgerEvent]) -> str | None:
    """The last triggered run, unless the ledger knows how it ended: whether it goes on has to be asked elsewhere."""
    submitted = [e for e in events if e.kind == "submitted"]
    if not submitted:
        return None
    run_id = submitted[-1].pipeline_run_id
    ended = any(e.kind in ENDING and e.pipeline_run_id == run_id for e in events)
    return None if ended else run_id


def decide(  # noqa: PLR0911, PLR0913 - one return a rule, in their order
    policy: BySnapshots,
    plan: Plan,
    events: Sequence[LedgerEvent],
    now_ms: int,
    *,
    use_case: str,
    skew_ms: int = 0,
    run_goes_on: bool = False,
) -> Decision:
    """What new snapshots ask for.

    Args:
        policy: when to start.
        plan: what a training would read now (`lakeloop.planning`).
        events: the use case's, in ledger order; what follows is appended on exactly their head.
        now_ms: of the decider's clock.
        use_case: its name.
        skew_ms: by how much the clocks of two machines may differ.
        run_goes_on: whether `unsettled_run(events)` goes on.
    """
    opened = _open(events)
    if opened is not None and not _given_up(policy, opened, events, plan):
        return _opened(policy, opened, events, now_ms - skew_ms)
    if run_goes_on:
        return Decision(action="wait", reason=f"run {unsettled_run(events)} goes on")
    claim = current_claim(events)
    if claim is not None and now_ms < claim.until_ms + skew_ms:
        return Decision(action="wait", reason=f"{claim.owner} holds the use case")
    nothing = _nothing_to_do(policy, plan, events)
    if nothing or plan.range is None:
        return Decision(action="idle", reason=nothing or plan.reasons[0])
    early = _too_early(policy, plan, events, now_ms, skew_ms)
    if early:
        return Decision(action="wait", reason=early)
    attempt = len(_keys(events, plan.range)) + 1
    if attempt > policy.attempts:
        return Decision(action="idle", reason=f"{attempt - 1} runs for this snapshot came to no outcome")
    key = trigger_key(use_case, plan.range, attempt)
    return Decision(action="start", reason=_why(plan, attempt), key=key, range=plan.range)


def _open(events: Sequence[LedgerEvent]) -> LedgerEvent | None:
    """The last `triggered` whose `submitted` is missing."""
    last = next((e for e in reversed(events) if e.kind in _TRIGGER_KINDS), None)
    return last if last is not None and last.kind == "triggered" else None


def _opened(
    policy: BySnapshots, opened: LedgerEvent, events: Sequence[LedgerEvent], surely_now_ms: int
) -> Decision:
    if surely_now_ms < (opened.lease_until_ms or 0):
        return Decision(action="wait", reason=f"{opened.by} is starting a run")
    owners = _owners(opened, events)
    if owners >= policy.attempts:
        reason = f"{owners} times a run was to be started, and was not: see the trigger's log"
        return Decision(action="idle", reason=reason)
    return Decision(
        action="recover",
        reason=f"{opened.by} went silent while it started a run",
        key=opened.run_key,
        range=opened.range,
        occurrence=owners,
    )


def _owners(opened: LedgerEvent, events: Sequence[LedgerEvent]) -> int:
    return sum(1 for e in events if e.kind == "triggered" and e.run_key == opened.run_key)


def _given_up(policy: BySnapshots, opened: LedgerEvent, events: Sequence[LedgerEvent], plan: Plan) -> bool:
    """A run that could not be started as often as is allowed does not stand in the way of later snapshots."""
    newer = plan.range is not None and plan.range.to_snapshot_id != (
        opened.range.to_snapshot_id if opened.range else None
    )
    return newer and _owners(opened, events) >= policy.attempts


def _nothing_to_do(policy: BySnapshots, plan: Plan, events: Sequence[LedgerEvent]) -> str:
    if plan.action == "nothing" or plan.range is None:
        return "; ".join(plan.reasons)
    if plan.action == "refuse" and _refused_already(events):
        return f"refused already, a person has to decide: {plan.reasons[-1]}"
    if plan.action != "refuse" and plan.added_rows is not None and plan.added_rows < policy.min_rows:
        return f"{plan.added_rows:,} new rows, fewer than {policy.min_rows:,} (when.min_rows): they wait"
    return ""


def _refused_already(events: Sequence[LedgerEvent]) -> bool:
    """A refusal recorded since the last range was consumed; another run would only repeat it."""
    kinds = [e.kind for e in events if e.kind == "refused" or e.kind in CONSUMING]
    return bool(kinds) and kinds[-1] == "refused"


def _too_early(
    policy: BySnapshots, plan: Plan, events: Sequence[LedgerEvent], now_ms: int, skew_ms: int
) -> str:
    started = [e.at_ms for e in events if e.kind == "triggered"]
    cool_until = max(started, default=0) + int(policy.cool_down_seconds * 1000)
    if started and now_ms < cool_until:
        return f"cooling down for {_seconds(cool_until - now_ms)} more"
    begins, ends = burst(plan.snapshots, int(policy.quiet_seconds * 1000))
    if ends is None or begins is None or ends > now_ms + skew_ms:
        return ""  # no commit to go by, or one from a clock that cannot be right
    quiet_at = ends + int(policy.quiet_seconds * 1000)
    longest = begins + int(policy.longest_wait_seconds * 1000)
    if now_ms < min(quiet_at, longest):
        return f"commits still come: {_seconds(min(quiet_at, longest) - now_ms)} more without one"
    return ""


def burst(snapshots: Sequence[Snapshot], quiet_ms: int) -> tuple[int | None, int | None]:
    """When the last series of commits began and ended, each less than `quiet_ms` after the one before."""
    times = sorted((s.timestamp_ms for s in snapshots), reverse=True)
    if not times:
        return None, None
    begins = times[0]
    for at in times[1:]:
        if begins - at >= quiet_ms:
            break
        begins = at
    return begins, times[0]


def _keys(events: Sequence[LedgerEvent], range_: SnapshotRange) -> set[str]:
    """Keys of the runs that were started for the range's last snapshot."""
    same = (range_.table_uuid, range_.to_snapshot_id)
    return {
        e.run_key
        for e in events
        if e.kind == "triggered" and e.range and (e.range.table_uuid, e.range.to_snapshot_id) == same
    }


def _why(plan: Plan, attempt: int) -> str:
    again = f"; attempt {attempt}, the one before came to no outcome" if attempt > 1 else ""
    return f"{plan.action}: {plan.reasons[-1]}{again}"


def _seconds(milliseconds: int) -> str:
    return f"{max(milliseconds, 0) / 1000:,.0f} s"


def triggered(decision: Decision, *, use_case: str, by: str, owner: str, now_ms: int) -> LedgerEvent:
    """The event that goes into the ledger before the run is started.

    Args:
        decision: to start, or to recover.
        use_case: its name.
        by: the machine or person behind the trigger.
        owner: tells one trigger process from another: two that decide the same make two events, and one of them loses.
        now_ms: when its lease begins.
    """
    return LedgerEvent(
        event_id=event_id(decision.key, "triggered", f"{decision.occurrence} {owner}"),
        use_case=use_case,
        kind="triggered",
        at_ms=now_ms,
        by=by,
        reason=decision.reason,
        run_key=decision.key,
        range=decision.range,
        lease_until_ms=now_ms + LEASE_MS,
    )


def submitted(decision: Decision, *, use_case: str, by: str, now_ms: int, run_id: str) -> LedgerEvent:
    """The event that says as which run it was started."""
    return LedgerEvent(
        event_id=event_id(decision.key, "submitted"),
        use_case=use_case,
        kind="submitted",
        at_ms=now_ms,
        by=by,
        reason=decision.reason,
        pipeline_run_id=run_id,
        run_key=decision.key,
        range=decision.range,
    )
