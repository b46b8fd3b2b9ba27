"""Refs of an Iceberg table through Iceberg's own Java API: no SQL to parse, and each call one catalog commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.failures import java_class, spark_failures
from lakeloop.adapters.spark.staging import Staged

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MAIN = "main"
_CONFLICTS = {
    "org.apache.iceberg.exceptions.CommitFailedException",
    "org.apache.iceberg.exceptions.ValidationException",
    "java.lang.IllegalArgumentException",  # "Cannot fast-forward: main is not an ancestor of ..."
}


class TableRefs:
    """Branches of one table. Snapshot ids are strings."""

    def __init__(self, spark: SparkSession, qualified_name: str) -> None:
        self._jvm: Any = spark._jvm  # noqa: SLF001 - Iceberg's API is Java's
        loader = self._jvm.org.apache.iceberg.spark.Spark3Util
        self._table: Any = loader.loadIcebergTable(spark._jsparkSession, qualified_name)  # noqa: SLF001

    def refresh(self) -> None:
        """Read the table's metadata again."""
        self._table.refresh()

    def head(self, branch: str = MAIN) -> str | None:
        """Snapshot id of a branch's head; None where there is no such branch or it never had a snapshot."""
        return _head(self._table, branch)

    def branches(self) -> list[str]:
        """Names of all branches."""
        return [name for name, ref in dict(self._table.refs()).items() if ref.isBranch()]

    def parent(self, snapshot_id: str) -> str | None:
        """Id of the snapshot before this one."""
        parent = self._table.snapshot(int(snapshot_id)).parentId()
        return None if parent is None else str(parent)

    def summary(self, snapshot_id: str) -> dict[str, str]:
        """A snapshot's summary."""
        return dict(self._table.snapshot(int(snapshot_id)).summary())

    def sequence_number(self, snapshot_id: str) -> int:
        """A snapshot's sequence number; 0 in format version 1."""
        return int(self._table.snapshot(int(snapshot_id)).sequenceNumber())

    def committed_at_ms(self, snapshot_id: str) -> int:
        """When a snapshot was committed, milliseconds since the epoch."""
        return int(self._table.snapshot(int(snapshot_id)).timestampMillis())

    def columns(self) -> dict[str, str]:
        """Top-level columns of the current schema -> Iceberg type, e.g. `timestamptz`."""
        return {field.name(): field.type().toString() for field in self._table.schema().columns()}

    def uuid(self) -> str:
        """The table's uuid."""
        return str(self._table.uuid())

    def have_delete_files(self, snapshot_ids: Collection[str]) -> bool:
        """Whether position deletes, deletion vectors or equality deletes hold at one of the snapshots."""
        snapshots = [self._table.snapshot(int(snapshot_id)) for snapshot_id in snapshot_ids]
        return any(not snapshot.deleteManifests(self._table.io()).isEmpty() for snapshot in snapshots)

    def may_hold(self, snapshot_id: str, column: str, low: int | str, high: int | str) -> bool:
        """Whether a file at the snapshot may have rows with `low <= column <= high`, by its column bounds alone."""
        expressions = self._jvm.org.apache.iceberg.expressions.Expressions
        within = getattr(expressions, "and")(
            expressions.greaterThanOrEqual(column, low), expressions.lessThanOrEqual(column, high)
        )
        files = self._table.newScan().useSnapshot(int(snapshot_id)).filter(within).planFiles()
        try:
            return bool(files.iterator().hasNext())
        finally:
            files.close()

    def create(self, branch: str) -> None:
        """A branch at main's head.

        On a table without any snapshot it starts at an empty append (Iceberg's own way for branches of empty
        tables), and main stays without a snapshot until `publish`.
        """
        head = self.head()
        changes = self._table.manageSnapshots()
        changes = changes.createBranch(branch) if head is None else changes.createBranch(branch, int(head))
        changes.commit()
        self.refresh()

    def drop(self, *branches: str) -> None:
        """Remove branches in one commit; absent ones are a no-op."""
        self.refresh()
        there = [branch for branch in branches if self.head(branch) is not None]
        if there:
            changes = self._table.manageSnapshots()
            for branch in there:
                changes = changes.removeBranch(branch)
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
        self.refresh()
        try:
            changes = self._table.newTransaction()
            base = changes.table()
            if _head(base, staged.branch) != staged.snapshot_id or _head(base, MAIN) != staged.main:
                return False
            # References first: their commit is refused when the transaction is tried again on other metadata.
            refs = changes.manageSnapshots().fastForwardBranch(MAIN, staged.branch)
            for branch in {staged.branch, *(b for b in others if _head(base, b) is not None)}:
                refs = refs.removeBranch(branch)
            refs.commit()
            self._stage_properties(changes, set_ or {}, unset)
            changes.commitTransaction()
        except spark_failures() as error:
            if java_class(error) not in _CONFLICTS:
                raise
            return False
        finally:
            self.refresh()
        return True

    def _stage_properties(self, changes: Any, set_: Mapping[str, str], unset: Collection[str]) -> None:
        if not set_ and not unset:
            return
        properties = changes.updateProperties()
        for name, value in set_.items():
            properties = properties.set(name, value)
        for name in unset:
            properties = properties.remove(name)
        properties.commit()


def _head(table: Any, branch: str) -> str | None:
    ref = table.refs().get(branch)
    return None if ref is None else str(ref.snapshotId())
