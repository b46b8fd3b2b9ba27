"""Removing what dead attempts left: each call looks again before it removes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lakeloop.domain.snapshots import TableState
from lakeloop.domain.tidying import StoredFolder, TableFiles


class TableKeeper(Protocol):
    """Tables: metadata of the past, refs, snapshots and files; never a JVM."""

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Names of a namespace's tables, as `namespace.table`; empty where there is no such namespace."""

    def state_before(self, table: str, at_ms: int) -> TableState | None:
        """The metadata as it was at a time; None where that is not known any more, or there was no table."""

    def files(self, table: str) -> TableFiles:
        """The table's data folder, listed before its metadata is read: what is committed meanwhile is named."""

    def drop_branch(self, table: str, branch: str, snapshot_id: str) -> bool:
        """Remove a branch that still points there; False where it is gone or moved."""

    def expire(self, table: str, snapshot_ids: Sequence[str]) -> int:
        """Forget snapshots that no ref reaches; how many went. Their files stay, named by nothing then."""

    def delete_files(self, table: str, paths: Sequence[str]) -> int:
        """Delete files of the data folder that still nothing names; how many went."""

    def purge(self, table: str, table_uuid: str) -> bool:
        """Drop a table with its files; False where it is gone or another one by now."""


class FolderKeeper(Protocol):
    """Folders of staged batches, runs and journals, on any file system."""

    def folders(self, uri: str) -> tuple[StoredFolder, ...]:
        """Folders right below, by name; empty where there is none."""

    def remove(self, uri: str, name: str) -> bool:
        """Remove one of them with all it holds; False where it is gone."""
