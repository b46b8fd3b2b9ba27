"""Write-audit-publish in Spark: stage on a branch, audit the staged snapshot, fast-forward main; exactly once.

Whatever is left of an earlier attempt is found by name and by batch id: branches `lakeloop_batch_<batch id>__<token>`
and the key `lakeloop.batch-id` in the summary of the staged snapshot. What was published is told by main's history,
and, where snapshots have expired, by the record that the publishing commit leaves in the table's properties.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.batch_files import Layout, estimated_rows, layouts
from lakeloop.adapters.spark.batch_rows import SPARK_TYPES, check_keys, explain_failure, typed_rows
from lakeloop.adapters.spark.batch_sources import check_unchanged, readable
from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.landed_batches import LandedBatches
from lakeloop.adapters.spark.quarantine import keep_refused
from lakeloop.adapters.spark.session import spark_session
from lakeloop.adapters.spark.sql import appended_rows, create_table, qualified, rows_at
from lakeloop.adapters.spark.staging import Staged, StagingKey, attempts, stage
from lakeloop.domain.batch import (
    BATCH_ID_PROPERTY,
    BATCH_NUMBER_PROPERTY,
    SOURCE_FILES_PROPERTY,
    Batch,
    IngestResult,
    RuleResult,
)
from lakeloop.domain.errors import ConflictError, LakeloopError, UserError
from lakeloop.domain.expectations import audit_sql, broken, judge, summary
from lakeloop.domain.labels import quoted
from lakeloop.domain.publication import table_problems
from lakeloop.domain.published_batches import BatchRecord, record_properties
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.source_files import source_files_property
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.batch_records import BatchRecords
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PUBLISH_ATTEMPTS = 5
ATTEMPT_PROPERTY = "lakeloop.attempt"


class SparkBatchPublisher:
    """Implements `lakeloop.ports.lake.BatchPublisher`.

    Args:
        settings: where to work.
        lake: metadata of the tables.
        records: of batches whose snapshots may have expired.
        session: an open session to use and leave open; by default each `publish` starts and stops its own.
    """

    def __init__(
        self, settings: Settings, lake: Lake, records: BatchRecords, session: SparkSession | None = None
    ) -> None:
        self._settings, self._lake, self._session = settings, lake, session
        self._landed = LandedBatches(records)

    def publish(self, use_case: UseCase, batch: Batch, attempt: str) -> IngestResult:
        """Stage on a branch, audit, fast-forward main; exactly once by `batch.batch_id`. No JVM where nothing is to do.

        Raises:
            UserError: the batch cannot be read or does not have the declared columns and types; nothing was written.
            ConflictError: other writers were faster, `PUBLISH_ATTEMPTS` times.
        """
        table = use_case.table.name
        if batch.batch_id is None or not batch.files:
            return IngestResult(outcome="nothing", batch_id=batch.batch_id, table=table, reason=batch.note)
        state = self._lake.table_state(table)
        found = self._landed.find(state, batch.batch_id)
        if state is not None and found is not None:
            return _published_already(state, found)
        _check_table(use_case, state)
        started = time.monotonic()
        with readable(self._settings, batch) as here:
            files = layouts(use_case, here)
            with self._open(use_case, here) as spark:
                spark.conf.set("spark.sql.ansi.enabled", "true")
                result = _Publication(
                    spark, self._settings, self._lake, self._landed, use_case, here, files
                ).run(attempt)
        return result.model_copy(update={"spark_seconds": round(time.monotonic() - started, 3)})

    def _open(self, use_case: UseCase, batch: Batch) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(
            self._settings,
            f"ingest_batch {use_case.name}",
            rows=estimated_rows(batch),
            resources=use_case.spark,
        )


class _Publication:
    """One publication of one batch in an open session."""

    def __init__(  # noqa: PLR0913, PLR0917 - the state of one publication
        self,
        spark: SparkSession,
        settings: Settings,
        lake: Lake,
        landed: LandedBatches,
        use_case: UseCase,
        batch: Batch,
        files: list[Layout],
    ) -> None:
        self._spark, self._settings, self._lake, self._landed = spark, settings, lake, landed
        self._use_case, self._batch, self._files = use_case, batch, files
        self._table = use_case.table.name
        self._name = qualified(settings, self._table)
        batch_id = batch.batch_id or ""
        self._key = StagingKey(BATCH_ID_PROPERTY, batch_id, f"lakeloop_batch_{batch_id}")
        self._created = False

    def run(self, attempt: str) -> IngestResult:
        if self._batch.format == "json":
            check_keys(self._spark, self._use_case, self._batch)
        if self._lake.table_state(self._table) is None:
            explain_failure(self._spark, self._use_case, self._batch, self._files)
            self._create_table()
        refs = TableRefs(self._spark, self._name)
        for _ in range(PUBLISH_ATTEMPTS):
            result = self._try(refs, attempt)
            if result is not None:
                return result
        raise ConflictError(
            f"main moved {PUBLISH_ATTEMPTS} times while batch {self._batch.batch_id} was audited",
            where=self._table,
            fix="run the step again when the other writers are done",
        )

    def _try(self, refs: TableRefs, attempt: str) -> IngestResult | None:
        """One round: None when main moved and another round is needed."""
        state = self._lake.table_state(self._table)
        found = self._landed.find(state, self._batch.batch_id or "")
        if state is not None and found is not None:
            self._drop_attempts(refs)
            return _published_already(state, found)
        room = self._landed.make_room(state)
        main = state.current_snapshot_id if state is not None else None
        try:
            staged = stage(refs, self._key, main, lambda branch: self._append(attempt, branch))
        except UserError:
            self._undo_creation(refs)
            raise
        if staged is None:
            return None
        rules = self._audit(refs, staged)
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

    def _drop_attempts(self, refs: TableRefs) -> None:
        refs.refresh()
        refs.drop(*attempts(refs, self._key))

    def _record(self, refs: TableRefs, staged: Staged) -> BatchRecord:
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

    def _undo_creation(self, refs: TableRefs) -> bool:
        """A refused first batch leaves no table behind, unless somebody else has published to it, or is about to."""
        refs.refresh()
        if not self._created or refs.head() is not None or refs.branches():
            return False
        self._spark.sql(f"DROP TABLE {self._name} PURGE")
        return True

    def _create_table(self) -> None:
        columns = {c: SPARK_TYPES.get(t, t) for c, t in self._use_case.table.columns.items()}
        create_table(self._spark, self._settings, self._table, columns, self._use_case.table.partition_by)
        self._created = True

    def _append(self, attempt: str, branch: str) -> None:
        rows = typed_rows(self._spark, self._use_case, self._batch, self._files)
        writer = rows.writeTo(f"{self._name}.{quoted('branch_' + branch)}")
        for key, value in self._properties(attempt).items():
            writer = writer.option(f"snapshot-property.{key}", value)
        try:
            writer.append()
        except spark_failures() as error:
            explain_failure(self._spark, self._use_case, self._batch, self._files)
            raise LakeloopError(
                f"Spark could not write the batch: {first_line(error)}", where=self._table
            ) from error
        check_unchanged(self._batch)

    def _properties(self, attempt: str) -> dict[str, str]:
        properties = {BATCH_ID_PROPERTY: self._batch.batch_id or "", ATTEMPT_PROPERTY: attempt}
        properties[SOURCE_FILES_PROPERTY] = source_files_property(self._batch.source_files)
        if self._batch.number is not None:
            properties[BATCH_NUMBER_PROPERTY] = str(self._batch.number)
        return properties

    def _audit(self, refs: TableRefs, staged: Staged) -> tuple[RuleResult, ...]:
        """One aggregation over the staged rows; a semi-join only when the table may have rows with the same keys."""
        rows = appended_rows(self._spark, self._settings, self._table, staged.parent_id, staged.snapshot_id)
        aggregates = [f"{sql} AS {alias}" for alias, sql in audit_sql(self._use_case).items()]
        found = rows.selectExpr(*aggregates).collect()[0].asDict()
        known = 0
        if refs.head() is not None and self._use_case.expectations.unique and found["rows"]:
            known = self._known_keys(refs, rows, staged.parent_id, (found["first_key"], found["last_key"]))
        return judge(self._use_case, found, known)

    def _known_keys(self, refs: TableRefs, rows: DataFrame, parent: str, ends: tuple[Any, Any]) -> int:
        """Rows of the batch whose unique columns main has already; files outside the batch's key range are not read."""
        from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

        columns = list(self._use_case.expectations.unique)
        if type(ends[0]) in {int, str} and not refs.may_hold(parent, columns[0], *ends):
            return 0
        before = rows_at(self._spark, self._settings, self._table, parent).select(*columns)
        if None not in ends:
            before = before.where(F.col(columns[0]).between(F.lit(ends[0]), F.lit(ends[1])))
        return int(rows.select(*columns).join(before, columns, "left_semi").count())

    def _refuse(self, refs: TableRefs, staged: Staged, rules: tuple[RuleResult, ...]) -> IngestResult:
        rows = appended_rows(self._spark, self._settings, self._table, staged.parent_id, staged.snapshot_id)
        uri = keep_refused(rows, self._settings, self._use_case, self._batch, rules)
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


def _check_table(use_case: UseCase, state: TableState | None) -> None:
    problems = table_problems(use_case, state)
    if problems:
        raise UserError(
            "; ".join(problems), where=use_case.table.name, fix="make table.columns say what the table has"
        )


def _published_already(state: TableState, found: BatchRecord) -> IngestResult:
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
