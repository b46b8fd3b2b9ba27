"""What a training would read, decided from metadata alone (design: section 4)."""

from __future__ import annotations

from typing import Literal

from lakeloop.domain.base import Frozen
from lakeloop.domain.snapshots import Snapshot, SnapshotRange

Action = Literal["nothing", "append-scan", "changelog", "rebuild", "refuse"]


class Watermark(Frozen):
    """The last snapshot whose rows a training has consumed to a terminal outcome."""

    table_uuid: str
    snapshot_id: str
    schema_id: int | None = None
    columns: tuple[tuple[int, str, str], ...] = ()


class Plan(Frozen):
    """The planner's answer; always with a reason, never an exception."""

    action: Action
    reasons: tuple[str, ...]
    range: SnapshotRange | None = None
    snapshots: tuple[Snapshot, ...] = ()
    added_rows: int | None = None
    schema_id: int | None = None
    watermark: Watermark | None = None
