"""What a training would read, decided from metadata alone (design: section 4)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.snapshots import Snapshot, SnapshotRange

Action = Literal["nothing", "append-scan", "changelog", "rebuild", "refuse"]


class Watermark(Frozen):
    """The last snapshot whose rows a training has consumed to a terminal outcome."""

    table_uuid: str
    snapshot_id: str
    schema_id: int | None = None
    columns: tuple[tuple[int, str, str], ...] = ()


class Finding(Frozen):
    """Something about the new snapshots that a user should know, and what the policy makes of it."""

    text: str
    choice: Literal["refuse", "rebuild", "changelog"] | None = Field(
        default=None, description="None: worth a word, no obstacle."
    )
    setting: str = Field(default="", description="The key of `snapshots` that chose.")

    @property
    def advice(self) -> str:
        """The text with the setting that refused."""
        return f"{self.text} (snapshots.{self.setting})" if self.setting else self.text


class Plan(Frozen):
    """The planner's answer; always with a reason, never an exception.

    `range` and `snapshots` (oldest first) say what is read: for `append-scan` the rows that those snapshots
    appended, for `changelog` their net changes, for `rebuild` the whole table at `range.to_snapshot_id`.
    With `refuse` they say what would have been read, where that is known; with `nothing` they stay empty.
    `added_rows` is None where a writer left the counts out, or deletes make them inexact.
    """

    action: Action
    reasons: tuple[str, ...]
    range: SnapshotRange | None = None
    snapshots: tuple[Snapshot, ...] = ()
    added_rows: int | None = None
    schema_id: int | None = None
    columns: tuple[tuple[int, str, str], ...] = Field(
        default=(), description="(field id, name, type) of the schema that is read; the next watermark's."
    )
    watermark: Watermark | None = None
