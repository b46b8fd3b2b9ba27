"""Which snapshot a person means, and what main pointed at. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Literal

from lakeloop.domain.base import Frozen
from lakeloop.domain.errors import UserError
from lakeloop.domain.snapshots import Column, Operation, Snapshot, TableState, ancestry

LONGEST_EPOCH_MS = 14  # digits: up to the year 5138; snapshot ids have 18 or 19
NEAREST = 3
MOST_LISTED = 5

Step = Literal["first", "commit", "forward", "rollback", "elsewhere"]


class MainMove(Frozen):
    """When main came to point at a snapshot, and how from the one before."""

    at_ms: int
    snapshot_id: str
    step: Step
    operation: Operation | None = None
    rows: int | None = None
    is_ancestor: bool = True


def snapshot_named(state: TableState, text: str | None) -> Snapshot:
    """The snapshot that `text` names: a branch or tag, a snapshot id, or a time; main's head for None.

    A time is ISO 8601 (UTC unless it says otherwise; a date is its midnight) or milliseconds since the epoch, and
    names what main pointed at then.

    Raises:
        UserError: nothing of that name; the nearest ones are told. Or it has expired, or was before the table.
    """
    if text is None:
        return _head(state)
    text = text.strip()
    by_id = {s.snapshot_id: s for s in state.snapshots}
    ref = next((r for r in state.refs if r.name == text), None)
    if ref is not None and ref.snapshot_id in by_id:
        return by_id[ref.snapshot_id]
    if text in by_id:
        return by_id[text]
    if text.isascii() and text.isdecimal():
        if len(text) <= LONGEST_EPOCH_MS:
            return snapshot_at(state, int(text))
        raise _unknown_id(state, text)
    return snapshot_at(state, epoch_ms(state, text))


def epoch_ms(state: TableState, text: str) -> int:
    """A time as milliseconds since the epoch.

    Raises:
        UserError: it is no time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        names = [r.name for r in state.refs]
        close = get_close_matches(text, names, n=NEAREST) or names[:MOST_LISTED]
        raise UserError(
            f"{text!r} is no branch, tag, snapshot id or time",
            where=state.name,
            fix=f"write a time as 2026-01-31T12:00, or name one of: {', '.join(close) or 'no ref is there'}",
        ) from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def snapshot_at(state: TableState, at_ms: int) -> Snapshot:
    """What main pointed at at a time, as Iceberg's own time travel: the last log entry not after it.

    Args:
        state: the table.
        at_ms: milliseconds since the epoch, inclusive.

    Raises:
        UserError: main had no snapshot yet, or that one has expired.
    """
    by_id = {s.snapshot_id: s for s in state.snapshots}
    moves = [(m.at_ms, m.snapshot_id) for m in state.log] or _by_ancestry(state)
    known = [id_ for then_ms, id_ in moves if then_ms <= at_ms]
    if known and known[-1] in by_id:
        return by_id[known[-1]]
    if known:
        raise _expired(state, f"snapshot {known[-1]}, which main pointed at then,")
    _head(state)
    first_ms, first_id = moves[0]
    cut_off = ancestry(state, first_id).end == "expired" if first_id in by_id else True
    if cut_off:
        raise _expired(state, f"what main pointed at at {moment(at_ms)}")
    raise UserError(
        f"the table had no snapshot yet at {moment(at_ms)}",
        where=state.name,
        fix=f"its first is {first_id} of {moment(first_ms)}",
    )


def main_moves(state: TableState) -> tuple[MainMove, ...]:
    """The snapshot log, oldest first, with how main got from one entry to the next."""
    by_id = {s.snapshot_id: s for s in state.snapshots}
    now = {s.snapshot_id for s in ancestry(state).snapshots}
    found: list[MainMove] = []
    for move in state.log:
        snapshot = by_id.get(move.snapshot_id)
        found.append(
            MainMove(
                at_ms=move.at_ms,
                snapshot_id=move.snapshot_id,
                step=_step(state, found[-1].snapshot_id if found else None, snapshot),
                operation=snapshot.operation if snapshot else None,
                rows=snapshot.count("total-records") if snapshot else None,
                is_ancestor=move.snapshot_id in now,
            )
        )
    return tuple(found)


def columns_at(state: TableState, snapshot: Snapshot) -> tuple[Column, ...]:
    """The schema that a snapshot was written with."""
    at = snapshot.schema_id
    return state.columns if at is None else state.schemas.get(at, state.columns)


def moment(at_ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond where there is a fraction."""
    try:
        at = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"
    fraction = f".{at_ms % 1000:03d}" if at_ms % 1000 else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _step(state: TableState, before: str | None, snapshot: Snapshot | None) -> Step:
    if before is None or snapshot is None:
        return "first" if before is None else "elsewhere"
    if snapshot.parent_id == before:
        return "commit"
    # A walk, but only for what is no plain commit: that is rare.
    if any(s.snapshot_id == snapshot.snapshot_id for s in ancestry(state, before).snapshots):
        return "rollback"
    if any(s.snapshot_id == before for s in ancestry(state, snapshot.snapshot_id).snapshots):
        return "forward"
    return "elsewhere"


def _head(state: TableState) -> Snapshot:
    by_id = {s.snapshot_id: s for s in state.snapshots}
    if state.current_snapshot_id not in by_id:
        raise UserError("the table has no snapshot yet", where=state.name, fix="land a batch first")
    return by_id[state.current_snapshot_id]


def _by_ancestry(state: TableState) -> list[tuple[int, str]]:
    return [(s.timestamp_ms, s.snapshot_id) for s in reversed(ancestry(state).snapshots)]


def _unknown_id(state: TableState, text: str) -> UserError:
    gone = {s.parent_id for s in state.snapshots} | {m.snapshot_id for m in state.log}
    if text in gone:
        return _expired(state, f"snapshot {text}")
    close = _nearest_ids(state, text)
    listed = ", ".join(f"{s.snapshot_id} ({moment(s.timestamp_ms)})" for s in close)
    return UserError(
        f"the table has no snapshot {text}",
        where=state.name,
        fix=f"nearest: {listed}" if listed else "it has none yet; land a batch first",
    )


def _nearest_ids(state: TableState, text: str) -> list[Snapshot]:
    by_id = {s.snapshot_id: s for s in state.snapshots}
    close = get_close_matches(text, by_id, n=NEAREST, cutoff=0.7)
    return [by_id[id_] for id_ in close] or list(state.snapshots[-NEAREST:])


def _expired(state: TableState, what: str) -> UserError:
    oldest = min(state.snapshots, key=lambda s: s.timestamp_ms)
    return UserError(
        f"{what} has expired",
        where=state.name,
        fix=f"the oldest snapshot left is {oldest.snapshot_id} of {moment(oldest.timestamp_ms)}; "
        "lakeloop pins what a model needs, see --refs",
    )
