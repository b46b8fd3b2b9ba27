"""What single commits did to a table's rows, by their summaries (Iceberg spec, "Snapshot Summary")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lakeloop.domain.snapshots import Operation, Snapshot

_SHORT_ENOUGH = 12
_NOUNS: dict[str, str] = {
    "append": "append",
    "replace": "compaction",
    "overwrite": "overwrite",
    "delete": "delete",
    "unknown": "commit of unknown kind",
}
_REMOVALS = ("deleted-records", "deleted-data-files", "added-delete-files", "added-position-deletes")


def row_effect(snapshot: Snapshot) -> Operation:
    """The operation by what it did: a mislabelled commit counts as an overwrite.

    An `append` that removed something is none, nor is a `replace` that wrote more rows than it replaced, or fewer where
    there were no delete files whose rows it could have left out.
    """
    if snapshot.operation == "append" and any(snapshot.count(key) for key in _REMOVALS):
        return "overwrite"
    if snapshot.operation == "replace":
        wrote, replaced = _number(snapshot, "added-records"), _number(snapshot, "deleted-records")
        return "overwrite" if wrote > replaced or (wrote < replaced and _lost_rows(snapshot)) else "replace"
    return snapshot.operation


def _lost_rows(snapshot: Snapshot) -> bool:
    """Whether, by its own summary, there was no delete file before it and none came with it."""
    before = snapshot.count("total-delete-files") == 0 and not snapshot.count("removed-delete-files")
    return before and not snapshot.count("removed-dvs")


def is_harmless(snapshot: Snapshot) -> bool:
    """Whether earlier rows are all still there, unchanged."""
    return row_effect(snapshot) in {"append", "replace"}


def added_rows(snapshots: Iterable[Snapshot]) -> int | None:
    """Rows that the commits wrote anew (compaction writes none); None where one left its count out."""
    total = 0
    for snapshot in snapshots:
        rows = 0 if row_effect(snapshot) == "replace" else _added(snapshot)
        if rows is None:
            return None
        total += rows
    return total


def table_rows(snapshot: Snapshot) -> int | None:
    """Rows of the whole table; None where not known, or where deletes not yet compacted make it inexact."""
    if any(
        _number(snapshot, key)
        for key in ("total-delete-files", "total-position-deletes", "total-equality-deletes")
    ):
        return None
    return snapshot.count("total-records")


def short(snapshot_id: str | None) -> str:
    """An id for the eye; the plan's snapshots have it whole."""
    if snapshot_id is None:
        return "none"
    return snapshot_id if len(snapshot_id) <= _SHORT_ENOUGH else f"{snapshot_id[:4]}…{snapshot_id[-4:]}"


def counted(number: int, noun: str) -> str:
    """E.g. `2 appends`, `10,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {_plural(noun)}"


def described(snapshots: Sequence[Snapshot]) -> str:
    """What the commits were, e.g. `1 overwrite (3051…7004) and 2 deletes (17, 18)`; three ids a kind."""
    kinds = Counter(row_effect(s) for s in snapshots)
    return " and ".join(
        f"{counted(n, _NOUNS[kind])} ({_named(snapshots, kind)})" for kind, n in kinds.items()
    )


def _named(snapshots: Sequence[Snapshot], kind: Operation, most: int = 3) -> str:
    ids = [short(s.snapshot_id) for s in snapshots if row_effect(s) == kind]
    return ", ".join(ids[:most]) + (", ..." if len(ids) > most else "")


def _plural(noun: str) -> str:
    head, _, rest = noun.partition(" of ")
    return f"{head}s of {rest}" if rest else f"{head}s"


def _added(snapshot: Snapshot) -> int | None:
    if "added-records" in snapshot.summary:
        return snapshot.count("added-records")
    # Writers leave out counts that are zero; one that keeps no counts at all has no totals either.
    kept = snapshot.count("total-records") is not None and not snapshot.count("added-data-files")
    return 0 if kept else None


def _number(snapshot: Snapshot, key: str) -> int:
    return snapshot.count(key) or 0
