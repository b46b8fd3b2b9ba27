"""One publication of one batch, whatever engine writes and audits it: stage, audit, fast-forward main; exactly once.

Whatever is left of an earlier attempt is found by name and by batch id: branches `lakeloop_batch_<batch id>__<token>`
and the key `lakeloop.batch-id` in the summary of the staged snapshot. What was published is told by main's history,
and, where snapshots have expired, by the record that the publishing commit leaves in the table's properties.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from lakeloop.adapters.spark.landed_batches import LandedBatches
from lakeloop.adapters.spark.staging import PublishingRefs, Staged, StagingKey, attempts, stage
from lakeloop.domain.base import sha256_hex
from lakeloop.domain.batch import (
    BATCH_ID_PROPERTY,
    BATCH_NUMBER_PROPERTY,
    SOURCE_FILES_PROPERTY,
    Batch,
    IngestResult,
    RuleResult,
)
from lakeloop.domain.errors import ConflictError, UserError
from lakeloop.domain.expectations import broken, summary
from lakeloop.domain.publication import table_problems
from lakeloop.domain.published_batches import BatchRecord, record_properties
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.source_files import source_files_property
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake

PUBLISH_ATTEMPTS = 5
ATTEMPT_PROPERTY = "lakeloop.attempt"
MADE_FOR_PROPERTY = "lakeloop.made-for"
"""Of a table: the digest of the batch that it was made for, so that a rerun after a crash knows its own table."""


class BatchRefs(PublishingRefs, Protocol):
    """What a publication asks of a table's branches beyond staging."""

    def uuid(self) -> str: ...  # noqa: D102 - named by what they do
    def sequence_number(self, snapshot_id: str) -> int: ...  # noqa: D102
    def committed_at_ms(self, snapshot_id: str) -> int: ...  # noqa: D102

    def may_hold(self, snapshot_id: str, column: str, low: int | str, high: int | str) -> bool:
        """Whether a file at the snapshot may have rows with `low <= column <= high`, by its column bounds alone."""


class Publication(ABC):
    """One publication of one batch; an engine says how rows are checked, written, audited and kept."""

    def __init__(self, lake: Lake, landed: LandedBatches, use_case: UseCase, batch: Batch) -> None:
        self._lake, self._landed, self._use_case, self._batch = lake, landed, use_case, batch
        self._table = use_case.table.name
        batch_id = batch.batch_id or ""
        self._key = StagingKey(BATCH_ID_PROPERTY, batch_id, f"lakeloop_batch_{batch_id}")
        self._created = False

    @property
    def made_for(self) -> str:
        """The value of `MADE_FOR_PROPERTY` in a table that this batch makes."""
        return sha256_hex(self._key.value)[:20]

    @abstractmethod
    def check(self) -> None:
        """Refuse a batch that cannot be read as declared, before a table is made for it."""

    @abstractmethod
    def create_table(self) -> None:
        """Make the table with the declared columns and `MADE_FOR_PROPERTY`."""

    @abstractmethod
    def open_refs(self) -> BatchRefs:
        """The table's branches."""

    @abstractmethod
    def append(self, branch: str, properties: dict[str, str]) -> None:
        """Append the batch's rows to the branch, with these properties in the snapshot's summary."""

    @abstractmethod
    def audit(self, refs: BatchRefs, staged: Staged) -> tuple[RuleResult, ...]:
        """What every rule finds in the staged rows."""

    @abstractmethod
    def keep_refused(self, staged: Staged, rules: tuple[RuleResult, ...]) -> str:
        """Keep the staged rows with the rules that they break; the URI of the folder."""

    @abstractmethod
    def drop_table(self) -> None:
        """Take a table away that has never had a row, files included."""

    def run(self, attempt: str) -> IngestResult:
        """Publish, or refuse, or find it published.

        Raises:
            UserError: the batch cannot be read as declared; nothing was written.
            ConflictError: other writers were faster, `PUBLISH_ATTEMPTS` times.
        """
        self.check()
        state = self._lake.table_state(self._table)
        if state is None:
            self.create_table()
        self._created = state is None or state.properties.get(MADE_FOR_PROPERTY) == self.made_for
        refs = self.open_refs()
        for _ in range(PUBLISH_ATTEMPTS):
            result = self._try(refs, attempt)
            if result is not None:
                return result
        raise ConflictError(
            f"main moved {PUBLISH_ATTEMPTS} times while batch {self._batch.batch_id} was audited",
            where=self._table,
            fix="run the step again when the other writers are done",
        )

    def _try(self, refs: BatchRefs, attempt: str) -> IngestResult | None:
        """One round: None when main moved and another round is needed."""
        state = self._lake.table_state(self._table)
        found = self._landed.find(state, self._batch.batch_id or "")
        if state is not None and found is not None:
            self._drop_attempts(refs)
            return published_already(state, found)
        room = self._landed.make_room(state)
        main = state.current_snapshot_id if state is not None else None
        try:
            staged = stage(
                refs, self._key, main, lambda branch: self.append(branch, self._properties(attempt))
            )
        except UserError:
            self._undo_creation(refs)
            raise
        if staged is None:
            return None
        rules = self.audit(refs, staged)
        if broken(rules):
            return self._refuse(refs, staged, rules)
        record = self._record(refs, staged)
        properties = record_properties(state, record)
        if not refs.publish(staged, attempts(refs, self._key), properties, room):
            return None
        return IngestResult(
            outcome="published",
            batch_id=self._batch.batch_id,
            table=self._table,
            table_uuid=refs.uuid(),
            snapshot_id=staged.snapshot_id,
            rows=record.rows or 0,
            rules=rules,
            reason="every expectation is met",
        )

    def _drop_attempts(self, refs: BatchRefs) -> None:
        refs.refresh()
        refs.drop(*attempts(refs, self._key))

    def _record(self, refs: BatchRefs, staged: Staged) -> BatchRecord:
        return BatchRecord(
            table_uuid=refs.uuid(),
            batch_id=self._batch.batch_id or "",
            snapshot_id=staged.snapshot_id,
            parent_id=staged.parent_id,
            sequence_number=refs.sequence_number(staged.snapshot_id),
            published_at_ms=refs.committed_at_ms(staged.snapshot_id),
            number=self._batch.number,
            rows=int(refs.summary(staged.snapshot_id).get("added-records", "0")),
            source_files=self._batch.source_files,
        )

    def _undo_creation(self, refs: BatchRefs) -> bool:
        """A refused first batch leaves no table behind, unless somebody else has published to it, or is about to."""
        refs.refresh()
        if not self._created or refs.head() is not None or refs.branches():
            return False
        self.drop_table()
        return True

    def _properties(self, attempt: str) -> dict[str, str]:
        properties = {BATCH_ID_PROPERTY: self._batch.batch_id or "", ATTEMPT_PROPERTY: attempt}
        properties[SOURCE_FILES_PROPERTY] = source_files_property(self._batch.source_files)
        if self._batch.number is not None:
            properties[BATCH_NUMBER_PROPERTY] = str(self._batch.number)
        return properties

    def _refuse(self, refs: BatchRefs, staged: Staged, rules: tuple[RuleResult, ...]) -> IngestResult:
        uri = self.keep_refused(staged, rules)
        count = int(refs.summary(staged.snapshot_id).get("added-records", "0"))
        self._drop_attempts(refs)
        kept = not self._undo_creation(refs)
        return IngestResult(
            outcome="refused",
            batch_id=self._batch.batch_id,
            table=self._table,
            table_uuid=refs.uuid() if kept else None,
            rows=count,
            rules=rules,
            quarantine_uri=uri,
            reason=summary(rules),
        )


def check_table(use_case: UseCase, state: TableState | None) -> None:
    """The declared columns are the table's.

    Raises:
        UserError: they are not; says which.
    """
    problems = table_problems(use_case, state)
    if problems:
        raise UserError(
            "; ".join(problems), where=use_case.table.name, fix="make table.columns say what the table has"
        )


def published_already(state: TableState, found: BatchRecord) -> IngestResult:
    """The answer where main holds the batch."""
    expired = all(s.snapshot_id != found.snapshot_id for s in state.snapshots)
    return IngestResult(
        outcome="already_published",
        batch_id=found.batch_id,
        table=state.name,
        table_uuid=state.table_uuid,
        snapshot_id=found.snapshot_id,
        rows=found.rows or 0,
        reason=f"main has this batch since snapshot {found.snapshot_id}"
        + (", which has expired; its record tells" if expired else ""),
    )
