"""Write-audit-publish in Spark: the batch's rows typed, written to a branch and audited by one aggregation."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.publication import (
    MADE_FOR_PROPERTY,
    BatchRefs,
    Publication,
    check_table,
    published_already,
)
from lakeloop.adapters.spark.batch_files import Layout, estimated_rows, layouts
from lakeloop.adapters.spark.batch_rows import SPARK_TYPES, check_keys, explain_failure, typed_rows
from lakeloop.adapters.spark.batch_sources import check_unchanged, readable
from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.landed_batches import LandedBatches
from lakeloop.adapters.spark.quarantine import keep_refused
from lakeloop.adapters.spark.session import spark_session
from lakeloop.adapters.spark.sql import appended_rows, create_table, qualified, rows_at
from lakeloop.adapters.spark.staging import Staged
from lakeloop.domain.batch import (
    Batch,
    IngestResult,
    RuleResult,
)
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.expectations import audit_sql, judge
from lakeloop.domain.labels import quoted
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.batch_records import BatchRecords
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
            return published_already(state, found)
        check_table(use_case, state)
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


class _Publication(Publication):
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
        super().__init__(lake, landed, use_case, batch)
        self._spark, self._settings, self._files = spark, settings, files
        self._name = qualified(settings, self._table)

    def check(self) -> None:
        """Refuse a batch that cannot be read as declared, before a table is made for it."""
        if self._batch.format == "json":
            check_keys(self._spark, self._use_case, self._batch)
        if self._lake.table_state(self._table) is None:
            explain_failure(self._spark, self._use_case, self._batch, self._files)

    def open_refs(self) -> TableRefs:
        """The table's branches."""
        return TableRefs(self._spark, self._name)

    def create_table(self) -> None:
        """Make the table with the declared columns."""
        columns = {c: SPARK_TYPES.get(t, t) for c, t in self._use_case.table.columns.items()}
        made_for = {MADE_FOR_PROPERTY: self.made_for}
        partition_by = self._use_case.table.partition_by
        create_table(self._spark, self._settings, self._table, columns, partition_by, made_for)

    def append(self, branch: str, properties: dict[str, str]) -> None:
        """Append the batch's rows to the branch, with these properties in the snapshot's summary."""
        rows = typed_rows(self._spark, self._use_case, self._batch, self._files)
        writer = rows.writeTo(f"{self._name}.{quoted('branch_' + branch)}")
        for key, value in properties.items():
            writer = writer.option(f"snapshot-property.{key}", value)
        try:
            writer.append()
        except spark_failures() as error:
            explain_failure(self._spark, self._use_case, self._batch, self._files)
            raise LakeloopError(
                f"Spark could not write the batch: {first_line(error)}", where=self._table
            ) from error
        check_unchanged(self._batch)

    def audit(self, refs: BatchRefs, staged: Staged) -> tuple[RuleResult, ...]:
        """One aggregation over the staged rows; a semi-join only when the table may have rows with the same keys."""
        rows = appended_rows(self._spark, self._settings, self._table, staged.parent_id, staged.snapshot_id)
        aggregates = [f"{sql} AS {alias}" for alias, sql in audit_sql(self._use_case).items()]
        found = rows.selectExpr(*aggregates).collect()[0].asDict()
        known = 0
        if refs.head() is not None and self._use_case.expectations.unique and found["rows"]:
            known = self._known_keys(refs, rows, staged.parent_id, (found["first_key"], found["last_key"]))
        return judge(self._use_case, found, known)

    def _known_keys(self, refs: BatchRefs, rows: DataFrame, parent: str, ends: tuple[Any, Any]) -> int:
        """Rows of the batch whose unique columns main has already; files outside the batch's key range are not read."""
        from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

        columns = list(self._use_case.expectations.unique)
        if type(ends[0]) in {int, str} and not refs.may_hold(parent, columns[0], *ends):
            return 0
        before = rows_at(self._spark, self._settings, self._table, parent).select(*columns)
        if None not in ends:
            before = before.where(F.col(columns[0]).between(F.lit(ends[0]), F.lit(ends[1])))
        return int(rows.select(*columns).join(before, columns, "left_semi").count())

    def keep_refused(self, staged: Staged, rules: tuple[RuleResult, ...]) -> str:
        """Keep the staged rows with the rules that they break; the URI of the folder."""
        rows = appended_rows(self._spark, self._settings, self._table, staged.parent_id, staged.snapshot_id)
        return keep_refused(rows, self._settings, self._use_case, self._batch, rules)

    def drop_table(self) -> None:
        """Take a table away that has never had a row, files included."""
        self._spark.sql(f"DROP TABLE {self._name} PURGE")
