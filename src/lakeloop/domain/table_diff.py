"""What two snapshots of a table do not have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.snapshots import Column

Fact = Literal["type", "count", "nulls", "min", "max", "mean", "distinct"]


class ColumnStatistics(Frozen):
    """One column of all rows of a snapshot."""

    name: str
    count: int = Field(description="Rows with a value.")
    nulls: int
    min: str | None = Field(default=None, description="As text; None where there is no value, or no order.")
    max: str | None = None
    mean: float | None = Field(default=None, description="Of finite numbers.")
    distinct: int | None = Field(default=None, description="Approximate (HyperLogLog, a few percent).")


class ColumnComparison(Frozen):
    """One column side by side; a side is None where the snapshot does not have it."""

    name: str
    field_id: int
    type_before: str | None
    type_after: str | None
    renamed_from: str | None = None
    before: ColumnStatistics | None = None
    after: ColumnStatistics | None = None
    changed: tuple[Fact, ...] = ()


class RowChanges(Frozen):
    """Rows by which two snapshots differ; counts are exact, as of multisets of whole rows."""

    method: Literal["same files", "files", "rows"] = Field(
        description="files: by data files alone; rows: rows of rewritten files were compared."
    )
    added: int
    removed: int
    changed_keys: int | None = Field(
        default=None, description="Keys among both the added and the removed rows; None without a known key."
    )
    added_rows: tuple[dict[str, Any], ...] = Field(default=(), description="The first few.")
    removed_rows: tuple[dict[str, Any], ...] = ()


class TableDiff(Frozen):
    """`lakeloop show --diff`."""

    table: str
    table_uuid: str
    from_snapshot_id: str
    to_snapshot_id: str
    rows: RowChanges
    columns: tuple[ColumnComparison, ...] = ()


def shared_columns(before: Sequence[Column], after: Sequence[Column]) -> tuple[str, ...]:
    """Names, at the later snapshot, of columns that both have: by field id, so that a rename is no change."""
    ids = {c.field_id for c in before}
    return tuple(c.name for c in after if c.field_id in ids)


def compare_columns(
    schemas: tuple[Sequence[Column], Sequence[Column]],
    statistics: tuple[Sequence[ColumnStatistics], Sequence[ColumnStatistics]],
) -> tuple[ColumnComparison, ...]:
    """Columns side by side, matched by field id: the later snapshot's in order, then dropped ones."""
    old, new = ({c.field_id: c for c in schema} for schema in schemas)
    was, is_ = ({s.name: s for s in side} for side in statistics)
    return tuple(
        _comparison(old.get(id_), new.get(id_), was, is_)
        for id_ in [*new, *(id_ for id_ in old if id_ not in new)]
        if (id_ in new and new[id_].name in is_) or (id_ in old and old[id_].name in was)
    )


def _comparison(
    old: Column | None,
    new: Column | None,
    was: dict[str, ColumnStatistics],
    is_: dict[str, ColumnStatistics],
) -> ColumnComparison:
    before, after = was.get(old.name) if old else None, is_.get(new.name) if new else None
    named = new or old
    facts: list[Fact] = ["count", "nulls", "min", "max", "mean", "distinct"]
    changed: list[Fact] = [f for f in facts if getattr(before, f, None) != getattr(after, f, None)]
    if old and new and old.type != new.type:
        changed.insert(0, "type")
    return ColumnComparison(
        name=named.name if named else "",
        field_id=named.field_id if named else 0,
        type_before=old.type if old else None,
        type_after=new.type if new else None,
        renamed_from=old.name if old and new and old.name != new.name else None,
        before=before,
        after=after,
        changed=tuple(changed),
    )
