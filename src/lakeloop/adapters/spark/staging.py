"""An append that happens once: on a branch of its own first, found again by its key in the snapshot summary.

Protocol. A writer looks whether the history of main's head holds the key; stages one append on a branch made at that
very head; and publishes by a commit that demands main to be there still. Each attempt has a branch of its own, for two
live writers of one key would append to each other's: the branch's name is the key's, two underscores and a token. What
an attempt staged and did not publish, whoever made it, is adopted where it still fits main.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from lakeloop.domain.errors import LakeloopError

_TOKEN = re.compile(r"(__[0-9a-f]{8})?")


@dataclass(frozen=True)
class StagingKey:
    """What identifies an append: property and value in its snapshot's summary, and the name its branches begin with."""

    property: str
    value: str
    branch: str

    def new_branch(self) -> str:
        """A name that no other attempt has."""
        return f"{self.branch}__{uuid.uuid4().hex[:8]}"

    def names(self, branch: str) -> bool:
        """Whether the branch is one of this key's attempts."""
        return branch.startswith(self.branch) and bool(_TOKEN.fullmatch(branch.removeprefix(self.branch)))


@dataclass(frozen=True)
class Staged:
    """A snapshot on a branch that adds exactly one append to main.

    Attributes:
        main: id of main's head that it was staged on; None where main had no snapshot.
    """

    branch: str
    snapshot_id: str
    parent_id: str
    main: str | None


class BranchRefs(Protocol):
    """The branches of one table; None as a head: there is no such branch, or it never had a snapshot."""

    def refresh(self) -> None: ...  # noqa: D102 - named by what they do
    def head(self, branch: str = ...) -> str | None: ...  # noqa: D102
    def branches(self) -> list[str]: ...  # noqa: D102
    def parent(self, snapshot_id: str) -> str | None: ...  # noqa: D102
    def summary(self, snapshot_id: str) -> Mapping[str, str]: ...  # noqa: D102
    def create(self, branch: str) -> None: ...  # noqa: D102
    def drop(self, *branches: str) -> None: ...  # noqa: D102


class PublishingRefs(BranchRefs, Protocol):
    """Branches that can become main."""

    def publish(  # noqa: D102 - see BranchRefs
        self,
        staged: Staged,
        others: Collection[str] = ...,
        set_: Mapping[str, str] | None = ...,
        unset: Collection[str] = ...,
    ) -> bool: ...


def stage(
    refs: BranchRefs, key: StagingKey, main: str | None, append: Callable[[str], None]
) -> Staged | None:
    """The staged append: what another attempt left where it still fits main, else a new one.

    Args:
        refs: the table's branches.
        key: of the append.
        main: id of main's head in whose history the key was looked for, and not found.
        append: makes it on the branch it is given, with the key's property.

    Returns:
        None where the branch or main is not what it was: look for the key again.

    Raises:
        LakeloopError: the append failed; its branch is gone.
    """
    refs.refresh()
    if refs.head() != main:
        return None
    found = (_fitting(refs, branch, key, main) for branch in attempts(refs, key))
    left = next((staged for staged in found if staged is not None), None)
    return left or _staged(refs, key, main, append)


def attempts(refs: BranchRefs, key: StagingKey) -> list[str]:
    """Branches of all attempts at the key, dead and alive."""
    return [branch for branch in sorted(refs.branches()) if key.names(branch)]


def _staged(
    refs: BranchRefs, key: StagingKey, main: str | None, append: Callable[[str], None]
) -> Staged | None:
    branch = key.new_branch()
    refs.create(branch)
    try:
        append(branch)
    except LakeloopError:
        refs.refresh()
        if refs.head(branch) is None:
            return None  # another attempt has published, and has dropped this one's branch
        refs.drop(branch)
        raise
    refs.refresh()
    staged = _fitting(refs, branch, key, main)
    if staged is None:
        refs.drop(branch)
    return staged


def _fitting(refs: BranchRefs, branch: str, key: StagingKey, main: str | None) -> Staged | None:
    head = refs.head(branch)
    if head is None or head == main or refs.summary(head).get(key.property) != key.value:
        return None
    parent = refs.parent(head)
    # Main without a snapshot: the parent is the empty append that a branch of an empty table starts at.
    fits = parent is not None and (parent == main if main is not None else refs.parent(parent) is None)
    return Staged(branch, head, parent, main) if fits and parent is not None else None
