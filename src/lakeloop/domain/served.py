"""What served when, and why: read from the ledger's events alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.domain.snapshots import SnapshotRange


class Serving(Frozen):
    """A version's time as champion, each end with who and why."""

    version: str
    from_ms: int
    until_ms: int | None = Field(default=None, description="None: it serves still.")
    how: Literal["promoted", "rolled_back"]
    by: str
    reason: str
    owner: str = Field(default="", description="Pipeline run id, or the id of a change by hand.")
    run_key: str = ""
    mlflow_run_id: str | None = None
    range: SnapshotRange | None = Field(
        default=None, description="Snapshots that the version was trained on."
    )
    verdict: str = Field(default="", description="The gate's reasons for letting it through.")
    followed_by: str | None = Field(default=None, description="The version that replaced it.")
    followed_reason: str = ""


class Story(Frozen):
    """All that the ledger knows of a version; plan, verdict and rollout as they were recorded."""

    version: str
    run_key: str
    mlflow_run_id: str | None
    range: SnapshotRange | None
    plan: dict[str, Any] | None
    verdict: dict[str, Any] | None
    rollout: dict[str, Any] | None
    servings: tuple[Serving, ...]
    events: tuple[LedgerEvent, ...] = Field(description="In ledger order, documents left out.")


def servings(events: Sequence[LedgerEvent]) -> tuple[Serving, ...]:
    """Who served from when to when, oldest first.

    A version that is promoted while it serves goes on serving. Clocks of several machines may disagree about
    the order; the ledger's order counts, so that no serving begins before the one that it follows.

    Args:
        events: of one use case, in ledger order.
    """
    found: list[Serving] = []
    for event in events:
        if event.kind not in {"promoted", "rolled_back"} or event.model_version is None:
            continue
        if found and found[-1].version == event.model_version:
            continue
        if found:
            begins = max(event.at_ms, found[-1].from_ms)
            end = {
                "until_ms": begins,
                "followed_by": event.model_version,
                "followed_reason": f"{event.kind} by {event.by}: {event.reason}",
            }
            found[-1] = found[-1].model_copy(update=end)
        found.append(_serving(event, events, begins if found else event.at_ms))
    return tuple(found)


def what_served(events: Sequence[LedgerEvent], at_ms: int) -> Serving | None:
    """The version that served at a moment; None before the first promotion."""
    begun = [s for s in servings(events) if s.from_ms <= at_ms]
    return begun[-1] if begun else None


def previous_version(events: Sequence[LedgerEvent]) -> str | None:
    """Where a rollback goes: the version that served before the present one, as if what was rolled back never had.

    After 1, 2, 3, back to 2, it is 1: a version that was rolled back from is not what anybody wants back
    unnamed. Retired versions are skipped.
    """
    trail: list[str] = []
    for serving in servings(events):
        if serving.how == "rolled_back" and serving.version in trail:
            del trail[trail.index(serving.version) + 1 :]
        else:
            trail.append(serving.version)
    retired = {e.model_version for e in events if e.kind == "retired"}
    return next((v for v in reversed(trail[:-1]) if v not in retired and v != trail[-1]), None)


def versions(events: Sequence[LedgerEvent]) -> tuple[str, ...]:
    """Versions that the ledger names, in the order of their first mention."""
    return tuple(dict.fromkeys(e.model_version for e in events if e.model_version is not None))


def story_of(events: Sequence[LedgerEvent], version: str) -> Story | None:
    """What became of a version, and out of what; None where the ledger does not name it.

    Args:
        events: of one use case, in ledger order, with their documents.
        version: the model version.
    """
    keys = _run_keys(events, version)
    told = [e for e in events if e.model_version == version or (e.run_key and e.run_key in keys)]
    if not any(e.model_version == version for e in told):
        return None
    owners = {e.pipeline_run_id for e in told if e.pipeline_run_id}
    ids = {e.event_id for e in told}
    claims = {"submitted", "claimed", "released"}
    whole = [e for e in events if e.event_id in ids or (e.kind in claims and e.pipeline_run_id in owners)]
    return Story(
        version=version,
        run_key=next((e.run_key for e in told if e.run_key), ""),
        mlflow_run_id=next((e.mlflow_run_id for e in told if e.mlflow_run_id), None),
        range=next((e.range for e in told if e.range), None),
        plan=_document(whole, {"claimed"}),
        verdict=_document(told, {"accepted", "rejected"}),
        rollout=_document(told, {"promoted", "rolled_back", "rollout_failed"}),
        servings=tuple(s for s in servings(events) if s.version == version),
        events=tuple(e.model_copy(update={"document": ""}) for e in whole),
    )


def _run_keys(events: Sequence[LedgerEvent], version: str) -> set[str]:
    return {e.run_key for e in events if e.model_version == version and e.run_key}


def _document(events: Sequence[LedgerEvent], kinds: set[str]) -> dict[str, Any] | None:
    """The last document of these kinds."""
    texts = [e.document for e in events if e.kind in kinds and e.document]
    value = json.loads(texts[-1]) if texts else None
    return value if isinstance(value, dict) else None


def _serving(event: LedgerEvent, events: Sequence[LedgerEvent], from_ms: int) -> Serving:
    same = [e for e in events if event.run_key and e.run_key == event.run_key]
    verdicts = [e.reason for e in same if e.kind == "accepted"]
    return Serving(
        version=event.model_version or "",
        from_ms=from_ms,
        how="rolled_back" if event.kind == "rolled_back" else "promoted",
        by=event.by,
        reason=event.reason,
        owner=event.pipeline_run_id,
        run_key=event.run_key,
        mlflow_run_id=event.mlflow_run_id,
        range=next((e.range for e in (event, *same) if e.range), None),
        verdict=verdicts[-1] if verdicts else "",
    )
