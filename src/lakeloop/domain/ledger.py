"""The ledger's events, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.plan import Watermark
from lakeloop.domain.snapshots import SnapshotRange

EventKind = Literal[
    "batch_refused",
    "claimed",
    "released",
    "refused",
    "accepted",
    "rejected",
    "promoted",
    "rollout_failed",
    "rolled_back",
    "skipped",
    "retired",
    "triggered",
    "submitted",
]
CONSUMING: frozenset[str] = frozenset({"promoted", "rejected", "skipped"})
ENDING: frozenset[str] = CONSUMING | {"refused", "batch_refused", "rollout_failed", "rolled_back", "released"}
"""After one of these, its pipeline run holds the use case no longer."""


class LedgerEvent(Frozen):
    """One line of the ledger; `event_id` makes a repeated append a no-op."""

    event_id: str = Field(description="Deterministic: e.g. hash of (run key, kind).")
    use_case: str
    kind: EventKind
    at_ms: int
    by: str = Field(description="Who: user@host, or the pipeline run id.")
    reason: str
    pipeline_run_id: str = Field(default="", description="Also the owner of what is `claimed`.")
    run_key: str = Field(default="", description="Of the training; of a trigger's events, its key.")
    range: SnapshotRange | None = None
    schema_id: int | None = None
    columns: tuple[tuple[int, str, str], ...] = ()
    model_version: str | None = None
    mlflow_run_id: str | None = None
    lease_until_ms: int | None = Field(default=None, description="`claimed`, `triggered`: held until then.")
    document: str = Field(default="", description="JSON: the verdict, rollout or plan behind the event.")


def event_id(subject: str, kind: EventKind, occurrence: str = "") -> str:
    """Identity of an event, 20 hex digits.

    Args:
        subject: what it is about: a run key, or a batch id.
        kind: the event's kind.
        occurrence: tells two events of one subject and kind apart, e.g. the pipeline run of a second rollout.
    """
    return sha256_hex(canonical_json([subject, kind, occurrence]))[:20]


def watermark(events: Iterable[LedgerEvent]) -> Watermark | None:
    """The end of the last consumed range, in ledger order; None before the first terminal outcome."""
    consumed = [e for e in events if e.kind in CONSUMING and e.range is not None]
    if not consumed or consumed[-1].range is None:
        return None
    last, range_ = consumed[-1], consumed[-1].range
    return Watermark(
        table_uuid=range_.table_uuid,
        snapshot_id=range_.to_snapshot_id,
        schema_id=last.schema_id,
        columns=last.columns,
    )
