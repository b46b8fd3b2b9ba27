"""Iceberg table metadata as values. Snapshot ids are strings: JSON and KFP numbers are doubles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex

RANGE_ID_COLUMN = "_range_id"
_LONGEST_COUNT = 19  # digits of the largest 64-bit integer

Operation = Literal["append", "replace", "overwrite", "delete", "unknown"]


class Snapshot(Frozen):
    """One commit of a table, as its metadata tells it."""

    snapshot_id: str
    parent_id: str | None = None
    sequence_number: int = 0
    timestamp_ms: int = 0
    operation: Operation = "append"
    schema_id: int | None = None
    summary: dict[str, str] = Field(default_factory=dict)

    def count(self, key: str) -> int | None:
        """A numeric summary entry such as `added-records`; None where the writer left it out."""
        value = self.summary.get(key)
        if value is None or len(value) > _LONGEST_COUNT or not (value.isascii() and value.isdecimal()):
            return None
        return int(value)


class Column(Frozen):
    """A field of a schema; `field_id` is what a rename keeps."""

    field_id: int
    name: str
    type: str
    required: bool = False


class Ref(Frozen):
    """A branch or tag."""

    name: str
    kind: Literal["branch", "tag"]
    snapshot_id: str


class Move(Frozen):
    """An entry of the snapshot log: since when main pointed where."""

    at_ms: int
    snapshot_id: str


class TableState(Frozen):
    """What the planner knows: everything in a table's current metadata, no data."""

    name: str
    table_uuid: str
    format_version: int = 2
    current_snapshot_id: str | None = None
    snapshots: tuple[Snapshot, ...] = ()
    refs: tuple[Ref, ...] = ()
    schemas: dict[int, tuple[Column, ...]] = Field(default_factory=dict)
    current_schema_id: int = 0
    properties: dict[str, str] = Field(default_factory=dict)
    log: tuple[Move, ...] = Field(
        default=(), description="The snapshot log, oldest first; expiry cuts its beginning off."
    )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The current schema."""
        return self.schemas.get(self.current_schema_id, ())


class SnapshotRange(Frozen):
    """`(from, to]` of one table: from exclusive and None for "from the first row", to inclusive."""

    table: str
    table_uuid: str
    from_snapshot_id: str | None
    to_snapshot_id: str

    def range_id(self, feature_hash: str) -> str:
        """Identity of this range's rows in a feature table: 16 hex digits."""
        value = [self.table_uuid, self.from_snapshot_id, self.to_snapshot_id, feature_hash]
        return sha256_hex(canonical_json(value))[:16]


class Ancestry(Frozen):
    """Snapshots from the head back to where the metadata ends; newest first."""

    snapshots: tuple[Snapshot, ...]
    end: Literal["root", "expired", "corrupt"] = Field(
        description="The first commit; a parent that is no longer there, or whose id is erased; or what cannot be."
    )
    missing_id: str | None = Field(default=None, description="The parent that is not there any more.")


def parent_is_erased(snapshot: Snapshot) -> bool:
    """Whether a snapshot without a parent had one, by what its summary says was there before it.

    Iceberg's Java library keeps the id of a parent that has expired; pyiceberg erases it: an expired history then looks
    like a whole one.
    """
    if snapshot.parent_id is not None:
        return False
    if any(snapshot.count(f"deleted-{what}") for what in ("records", "data-files")):
        return True
    return any(
        (snapshot.count(f"total-{what}") or 0) > (snapshot.count(f"added-{what}") or 0)
        for what in ("records", "data-files", "delete-files")
    )


def ancestry(state: TableState, from_snapshot_id: str | None = None) -> Ancestry:
    """The commits that led to a snapshot (default: main's head), as far as metadata still knows them."""
    by_id = {s.snapshot_id: s for s in state.snapshots}
    at: str | None = from_snapshot_id or state.current_snapshot_id
    chain: dict[str, Snapshot] = {}
    if len(by_id) < len(state.snapshots) or (at is not None and at not in by_id):
        return Ancestry(snapshots=(), end="corrupt", missing_id=at)
    while at is not None and at in by_id:
        if at in chain:
            return Ancestry.model_construct(snapshots=tuple(chain.values()), end="corrupt", missing_id=at)
        chain[at] = by_id[at]
        at = by_id[at].parent_id
    last = next(reversed(chain.values()), None)
    whole = at is None and not (last is not None and parent_is_erased(last))
    end: Literal["root", "expired"] = "root" if whole else "expired"
    return Ancestry.model_construct(snapshots=tuple(chain.values()), end=end, missing_id=at)
