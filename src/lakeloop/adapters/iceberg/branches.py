"""Branches of an Iceberg table by pyiceberg, no JVM: the same steps, names and commits as Spark's `TableRefs`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.catalog import reachable
from lakeloop.domain.errors import LakeloopError
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

    from lakeloop.adapters.spark.staging import Staged

MAIN = "main"


class IcebergRefs:
    """Branches of one table. Snapshot ids are strings."""

    def __init__(self, settings: Settings, table: Table) -> None:
        self._settings, self._table = settings, table

    @property
    def table(self) -> Table:
        """The table as it was when it was last read."""
        return self._table

    def refresh(self) -> None:
        """Read the table's metadata again."""
        with reachable(self._settings):
            self._table.refresh()

    def head(self, branch: str = MAIN) -> str | None:
        """Snapshot id of a branch's head; None where there is no such branch or it never had a snapshot."""
        ref = self._table.metadata.refs.get(branch)
        return None if ref is None else str(ref.snapshot_id)

    def branches(self) -> list[str]:
        """Names of all branches."""
        refs = self._table.metadata.refs.items()
        return [name for name, ref in refs if str(ref.snapshot_ref_type) == "branch"]

    def parent(self, snapshot_id: str) -> str | None:
        """Id of the snapshot before this one."""
        parent = self._snapshot(snapshot_id).parent_snapshot_id
        return None if parent is None else str(parent)

    def summary(self, snapshot_id: str) -> dict[str, str]:
        """A snapshot's summary."""
        summary = self._snapshot(snapshot_id).summary
        return {} if summary is None else dict(summary.additional_properties)

    def sequence_number(self, snapshot_id: str) -> int:
        """A snapshot's sequence number; 0 in format version 1."""
        return int(self._snapshot(snapshot_id).sequence_number or 0)

    def committed_at_ms(self, snapshot_id: str) -> int:
        """When a snapshot was committed, milliseconds since the epoch."""
        return int(self._snapshot(snapshot_id).timestamp_ms)

    def uuid(self) -> str:
        """The table's uuid."""
        return str(self._table.metadata.table_uuid)

    def may_hold(self, snapshot_id: str, column: str, low: int | str, high: int | str) -> bool:
        """Whether a file at the snapshot may have rows with `low <= column <= high`, by its column bounds alone."""
        from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual

        within = And(GreaterThanOrEqual(column, low), LessThanOrEqual(column, high))
        scan = self._table.scan(row_filter=within, snapshot_id=int(snapshot_id))
        return any(True for _ in scan.plan_files())

    def create(self, branch: str) -> None:
        """A branch at main's head.

        On a table without any snapshot it starts at an empty append, as Iceberg's Java library has it, and main stays
        without a snapshot until `publish`.
        """
        head = self.head()
        with reachable(self._settings):
            if head is None:
                known = {s.snapshot_id for s in self._table.metadata.snapshots}
                self._table.append(self._no_rows(), branch=None)
                head = next(
                    str(s.snapshot_id) for s in self._table.metadata.snapshots if s.snapshot_id not in known
                )
            self._table.manage_snapshots().create_branch(int(head), branch).commit()
        self.refresh()

    def append(self, branch: str, rows: pa.Table, properties: Mapping[str, str]) -> None:
        """One append to a branch, with these properties in its snapshot's summary.

        Raises:
            LakeloopError: somebody else moved or removed the branch.
        """
        from pyiceberg.exceptions import CommitFailedException

        with reachable(self._settings):
            try:
                self._table.append(rows, snapshot_properties=dict(properties), branch=branch)
            except CommitFailedException as error:
                raise LakeloopError(f"the append to branch {branch} failed: {error}") from error

    def drop(self, *branches: str) -> None:
        """Remove branches in one commit; absent ones are a no-op."""
        self.refresh()
        there = [branch for branch in branches if self.head(branch) is not None]
        if not there:
            return
        changes: Any = self._table.manage_snapshots()
        for branch in there:
            changes = changes.remove_branch(branch)
        with reachable(self._settings):
            changes.commit()
        self.refresh()

    def publish(
        self,
        staged: Staged,
        others: Collection[str] = (),
        set_: Mapping[str, str] | None = None,
        unset: Collection[str] = (),
    ) -> bool:
        """Fast-forward main to the staged snapshot and remove its branch, in one catalog commit.

        The commit is a compare-and-set on the metadata that is looked at here: a branch that somebody else appended
        to, or a main that is not where the snapshot was staged on, is never published.

        Args:
            staged: what is published.
            others: branches that go in the same commit, where they are there.
            set_: table properties that become visible together with the rows.
            unset: names of table properties that go.

        Returns:
            False where somebody else was first.
        """
        from pyiceberg.exceptions import CommitFailedException

        self.refresh()
        if self.head(staged.branch) != staged.snapshot_id or self.head() != staged.main:
            return False
        going = sorted({staged.branch, *(b for b in others if self.head(b) is not None)})
        with reachable(self._settings):
            try:
                self._commit(staged, going, set_ or {}, unset)
            except CommitFailedException:
                return False
            finally:
                self.refresh()
        return True

    def _commit(
        self, staged: Staged, going: list[str], set_: Mapping[str, str], unset: Collection[str]
    ) -> None:
        """By the catalog itself: pyiceberg's transaction would keep only the first of several asserted references."""
        from pyiceberg.table.update import (
            AssertRefSnapshotId,
            AssertTableUUID,
            RemovePropertiesUpdate,
            RemoveSnapshotRefUpdate,
            SetPropertiesUpdate,
            SetSnapshotRefUpdate,
            TableRequirement,
            TableUpdate,
        )

        main = None if staged.main is None else int(staged.main)
        requirements: list[TableRequirement] = [
            AssertTableUUID(uuid=self._table.metadata.table_uuid),
            AssertRefSnapshotId(ref=MAIN, snapshot_id=main),
            AssertRefSnapshotId(ref=staged.branch, snapshot_id=int(staged.snapshot_id)),
        ]
        updates: list[TableUpdate] = [
            SetSnapshotRefUpdate(ref_name=MAIN, type="branch", snapshot_id=int(staged.snapshot_id))
        ]
        updates += [RemoveSnapshotRefUpdate(ref_name=branch) for branch in going]
        updates += [SetPropertiesUpdate(updates=dict(set_))] if set_ else []
        updates += [RemovePropertiesUpdate(removals=list(unset))] if unset else []
        self._table.catalog.commit_table(self._table, tuple(requirements), tuple(updates))

    def _snapshot(self, snapshot_id: str) -> Any:
        return self._table.metadata.snapshot_by_id(int(snapshot_id))

    def _no_rows(self) -> pa.Table:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        return schema_to_pyarrow(self._table.schema(), include_field_ids=False).empty_table()
