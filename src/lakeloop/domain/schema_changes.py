"""What became of a table's columns between two schemas, by field id as Iceberg tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lakeloop.domain.plan import Finding
from lakeloop.domain.snapshots import Column
from lakeloop.domain.use_case import SnapshotPolicy

ColumnKey = tuple[int, str, str]
InUse = Callable[[Collection[str]], Collection[str]]
"""Column names -> those among them that a use case looks at."""


@dataclass(frozen=True)
class ColumnChange:
    """One column's fate, in words."""

    kind: Literal["added", "dropped", "renamed", "retyped"]
    text: str
    names: tuple[str, ...]


def column_keys(columns: Iterable[Column]) -> tuple[ColumnKey, ...]:
    """(field id, name, type) of each column."""
    return tuple((c.field_id, c.name, c.type) for c in columns)


def schema_changes(before: Iterable[ColumnKey], after: Iterable[ColumnKey]) -> list[ColumnChange]:
    """Changes in field id order; a column that was dropped and added again under its name is both."""
    old = {field_id: (name, type_) for field_id, name, type_ in before}
    new = {field_id: (name, type_) for field_id, name, type_ in after}
    changes: list[ColumnChange] = []
    for field_id in sorted(old.keys() | new.keys()):
        changes += _fate(old.get(field_id), new.get(field_id))
    return changes


def schema_findings(
    before: Sequence[ColumnKey], after: Sequence[ColumnKey], policy: SnapshotPolicy, in_use: InUse = frozenset
) -> list[Finding]:
    """What the policy makes of the changes; empty where there is none.

    Earlier rows show an added column as null and a dropped one not at all: features shift without a word. A column
    that the use case looks at under neither name may change and go as it likes.
    """
    if not before:
        return [Finding(text="the schema of the last training is not known: changes since cannot be seen")]
    changes = schema_changes(before, after)
    used = in_use({name for _, name, _ in (*before, *after)}) if changes else ()
    findings = []
    for change in changes:
        if change.kind != "added" and not set(change.names) & set(used):
            findings.append(Finding(text=f"{change.text}, which the use case does not look at"))
            continue
        allowed = policy.on_schema_change == "allow_added" and change.kind == "added"
        rebuilds = policy.on_schema_change == "rebuild"
        choice: Literal["refuse", "rebuild"] | None = None if allowed else "rebuild" if rebuilds else "refuse"
        findings.append(Finding(text=change.text, choice=choice, setting="on_schema_change"))
    return findings


def _fate(old: tuple[str, str] | None, new: tuple[str, str] | None) -> list[ColumnChange]:
    if old is None or new is None:
        added = [ColumnChange("added", f"column {new[0]!r} ({new[1]}) was added", (new[0],))] if new else []
        return added + ([ColumnChange("dropped", f"column {old[0]!r} was dropped", (old[0],))] if old else [])
    changes = []
    if old[0] != new[0]:
        changes.append(
            ColumnChange("renamed", f"column {old[0]!r} was renamed to {new[0]!r}", (old[0], new[0]))
        )
    if old[1] != new[1]:
        text = f"column {new[0]!r} changed from {old[1]} to {new[1]}"
        changes.append(ColumnChange("retyped", text, (old[0], new[0])))
    return changes
