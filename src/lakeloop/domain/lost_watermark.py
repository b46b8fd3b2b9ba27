"""Why the consumed snapshot is not in main's history any more, told from metadata alone."""

from __future__ import annotations

from typing import Literal

from lakeloop.domain.history import counted, short
from lakeloop.domain.plan import Finding, Watermark
from lakeloop.domain.snapshots import Ancestry, TableState, ancestry
from lakeloop.domain.use_case import SnapshotPolicy


def lost_watermark(
    state: TableState, history: Ancestry, watermark: Watermark, policy: SnapshotPolicy
) -> Finding:
    """The likeliest story, with the policy's choice for it.

    Args:
        state: the table, of the watermark's uuid.
        history: main's ancestry, in which no snapshot is the watermark or has it as its parent.
        watermark: the consumed snapshot.
        policy: the use case's choices.
    """
    consumed = next((s for s in state.snapshots if s.snapshot_id == watermark.snapshot_id), None)
    if consumed is not None:
        found = _branched_off(state, history, watermark, policy)
        if found is not None:
            return found
    newest = history.snapshots[0] if history.snapshots else None
    older = consumed is not None and newest is not None and newest.sequence_number < consumed.sequence_number
    if history.end == "root" or older:
        return _rewritten(watermark, policy)
    return _expired(history, watermark, policy)


def _branched_off(
    state: TableState, history: Ancestry, watermark: Watermark, policy: SnapshotPolicy
) -> Finding | None:
    back = ancestry(state, watermark.snapshot_id)
    behind = {s.snapshot_id: n for n, s in enumerate(back.snapshots)}
    fork = next((s.snapshot_id for s in history.snapshots if s.snapshot_id in behind), None)
    if fork is None:
        replaced = back.end == "root" and history.end == "root" and bool(history.snapshots)
        text = "the table was replaced in place (same uuid, a new first commit)"
        return _replaced(text, policy) if replaced else None
    gone = (
        f"{counted(behind[fork], 'consumed snapshot')} up to {short(watermark.snapshot_id)} no longer in it"
    )
    if fork == state.current_snapshot_id:
        return _rollback(f"main was rolled back to {short(fork)}: {gone}", policy)
    return _rollback(f"main was rolled back to {short(fork)} and went on from there: {gone}", policy)


def _replaced(text: str, policy: SnapshotPolicy) -> Finding:
    return Finding(text=text, choice=policy.on_replaced_table, setting="on_replaced_table")


def _rollback(text: str, policy: SnapshotPolicy) -> Finding:
    return Finding(text=text, choice=policy.on_rollback, setting="on_rollback")


def _rewritten(watermark: Watermark, policy: SnapshotPolicy) -> Finding:
    consumed = short(watermark.snapshot_id)
    text = f"main's history does not contain the consumed {consumed}: it was rolled back or replaced"
    both: Literal["refuse", "rebuild"] = (
        "rebuild" if policy.on_rollback == policy.on_replaced_table == "rebuild" else "refuse"
    )
    return Finding(text=text, choice=both, setting="on_rollback and on_replaced_table")


def _expired(history: Ancestry, watermark: Watermark, policy: SnapshotPolicy) -> Finding:
    text = (
        f"snapshots between the consumed {short(watermark.snapshot_id)} and the oldest that is left, "
        f"{short(history.snapshots[-1].snapshot_id)}, have expired: which rows are new cannot be told"
    )
    return Finding(text=text, choice=policy.on_expired_start, setting="on_expired_start")
