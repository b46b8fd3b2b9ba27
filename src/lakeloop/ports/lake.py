"""The lake: Iceberg tables, seen by role."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.use_case import UseCase

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FileDifference:
    """Rows of the data files that two snapshots do not share.

    A file whose deletes differ counts on both sides. A row that was only rewritten comes on both, too: who wants to
    know what changed compares the two; where one side has no file, the other is exact by itself. Both sides have
    the columns of the later snapshot, missing ones null.
    """

    gone_files: int
    come_files: int
    gone: Callable[[], Iterator[pa.RecordBatch]]
    come: Callable[[], Iterator[pa.RecordBatch]]


class Lake(Protocol):
    """Metadata, refs and Arrow reads; never a JVM."""

    def table_state(self, table: str) -> TableState | None:
        """Current metadata, or None where the table does not exist."""

    def read_batches(
        self,
        table: str,
        snapshot_id: str,
        columns: Sequence[str] | None = None,
        range_ids: Sequence[str] | None = None,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows at a snapshot, in no particular order.

        Args:
            table: `namespace.table`.
            snapshot_id: the snapshot.
            columns: only these.
            range_ids: only rows whose `_range_id` is among them.
            where: only rows whose value is among the listed ones, in every column named; files and row groups
                whose bounds exclude all listed values are not read, so that few rows of a huge table are cheap.
        """

    def read_files(
        self,
        table: str,
        snapshot_id: str,
        columns: Sequence[str] | None = None,
        since_snapshot_id: str | None = None,
    ) -> Iterator[tuple[str, Callable[[], Iterator[pa.RecordBatch]]]]:
        """A snapshot's data files by path, each with its rows: the same files in the same order whenever asked.

        The functions that give the rows can be sent to another process.

        Args:
            table: `namespace.table`.
            snapshot_id: the snapshot.
            columns: only these.
            since_snapshot_id: only files that this snapshot does not have.
        """

    def difference(
        self, table: str, before: str, after: str, columns: Sequence[str] | None = None
    ) -> FileDifference:
        """Which files the snapshot `after` lacks of those of `before`, and has beyond them.

        Raises:
            LakeloopError: no such table, snapshot or column.
        """

    def pin(self, table: str, tag: str, snapshot_id: str) -> None:
        """Make `tag` hold the snapshot; the same pin again is a no-op.

        Raises:
            ConflictError: the tag holds another snapshot.
        """

    def pin_all(self, table: str, snapshots: Mapping[str, str]) -> None:
        """Several pins in one commit: tag -> snapshot id. Either all hold then, or none was made.

        Raises:
            ConflictError: a tag holds another snapshot.
        """

    def unpin(self, table: str, *tags: str) -> None:
        """Remove the tags in one commit; absent ones are a no-op."""


class BatchPublisher(Protocol):
    """Write-audit-publish (engine: Spark; an in-process one may join it)."""

    def publish(self, use_case: UseCase, batch: Batch, attempt: str) -> IngestResult:
        """Stage on a branch, audit, fast-forward main; exactly once by `batch.batch_id`.

        A refused batch comes back as outcome `refused` with its broken rules, and is kept in quarantine.

        Raises:
            UserError: the batch cannot be read or does not have the declared columns and types; nothing was written.
        """


class FeatureBuilder(Protocol):
    """Computes feature rows of snapshot ranges into the feature table, each range exactly once."""

    def build(self, use_case: UseCase, plan: Plan) -> TrainingSet:
        """Rows of the plan's range, and of the earlier ranges that the window policy asks for."""
