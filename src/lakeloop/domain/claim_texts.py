"""What is said of claims: who holds a use case, since when, until when, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

from lakeloop.domain.claims import Claim, ClaimDecision
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.ledger import LedgerEvent

MILLISECONDS = 1000


def told(decision: ClaimDecision, reason: str) -> str:
    """What a claim is for, and from whom it was taken over."""
    if decision.outcome != "taken_over" or decision.holder is None:
        return reason
    left = decision.holder
    return (
        f"{reason}; taken over from {left.owner} ({left.by}), whose lease was until {_moment(left.until_ms)}"
    )


def held(use_case: str, holder: Claim, skew_ms: int, advice: str) -> ConflictError:
    """Another holds the use case."""
    what = (
        f"trains on snapshots up to {holder.range.to_snapshot_id}" if holder.range else "changes what serves"
    )
    return ConflictError(
        f"{holder.owner} ({holder.by}) {what} since {_moment(holder.since_ms)}, and holds the use case until "
        f"{_moment(holder.until_ms)} unless it ends or renews before",
        where=use_case,
        fix=f"run again when it has ended; if it died, its claim is free from "
        f"{_moment(holder.until_ms + skew_ms)}; see lakeloop history {use_case}"
        + (f"; {advice}" if advice else ""),
    )


def outdated(use_case: str, consumed: LedgerEvent) -> ConflictError:
    """Another has consumed snapshots since."""
    version = f", version {consumed.model_version}" if consumed.model_version else ""
    to = consumed.range.to_snapshot_id if consumed.range else "?"
    return ConflictError(
        f"{consumed.pipeline_run_id or consumed.by} has trained on snapshots up to {to} since ({consumed.kind}"
        f"{version}, {_moment(consumed.at_ms)})",
        where=use_case,
        fix=f"start a new run: lakeloop run {use_case} plans what is left",
    )


def moved_on(use_case: str) -> ConflictError:
    """The plan rests on a watermark that has moved."""
    return ConflictError(
        "the plan is out of date: another run has consumed snapshots since it was made",
        where=use_case,
        fix="run again: what is left is planned anew",
    )


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / MILLISECONDS, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
