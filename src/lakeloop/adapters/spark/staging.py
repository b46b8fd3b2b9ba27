"""An append that happens once: on a branch first, found again by its key in the snapshot summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.domain.errors import LakeloopError


@dataclass(frozen=True)
class Staged:
    """A snapshot on a branch that adds exactly one append to main."""

    snapshot_id: str
    parent_id: str


def stage(refs: TableRefs, branch: str, key: tuple[str, str], append: Callable[[], None]) -> Staged:
    """The staged append: what an earlier attempt left where it still fits main, else a new one.

    Args:
        refs: the table's branches.
        branch: where to stage; made at main's head.
        key: property of the snapshot summary, and its value, that identify the append.
        append: makes it, on the branch, with that property.

    Raises:
        LakeloopError: the append left no snapshot.
    """
    refs.refresh()
    found = _fitting(refs, branch, key)
    if found is not None:
        return found
    if refs.head(branch) is not None:
        refs.drop(branch)
    refs.create(branch)
    parent = refs.head(branch)
    append()
    refs.refresh()
    head = refs.head(branch)
    if head is None or parent is None or head == parent:
        raise LakeloopError("the append left no snapshot", where=f"branch {branch}", fix="run the step again")
    return Staged(head, parent)


def _fitting(refs: TableRefs, branch: str, key: tuple[str, str]) -> Staged | None:
    head, main = refs.head(branch), refs.head()
    if head is None or refs.summary(head).get(key[0]) != key[1]:
        return None
    parent = refs.parent(head)
    # Main without a snapshot: the parent is the empty append that a branch of an empty table starts at.
    return Staged(head, parent) if parent is not None and main in {None, parent} and head != main else None
