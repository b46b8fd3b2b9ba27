"""Write-audit-publish in this process: Arrow reads the batch, pyiceberg writes it to a branch, DuckDB audits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.branches import IcebergRefs
from lakeloop.adapters.iceberg.catalog import reachable
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.publication import (
    MADE_FOR_PROPERTY,
    BatchRefs,
    Publication,
    check_table,
    published_already,
)
from lakeloop.adapters.iceberg.rows import appended, schema_at, select, stream
from lakeloop.adapters.in_process.batch_rows import typed_rows
from lakeloop.adapters.in_process.quarantine import keep_refused
from lakeloop.adapters.in_process.tables import arrow_schema, check_writable, create_table
from lakeloop.adapters.spark.batch_files import layouts
from lakeloop.adapters.spark.batch_sources import check_unchanged, readable
from lakeloop.adapters.spark.landed_batches import LandedBatches
from lakeloop.adapters.spark.staging import Staged
from lakeloop.domain.batch import Batch, IngestResult, RuleResult
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.expectations import audit_sql, judge
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.batch_records import BatchRecords
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table


class InProcessBatchPublisher:
    """Implements `lakeloop.ports.lake.BatchPublisher` without a JVM; the batch's rows are in memory at once.

    Args:
        settings: where to work.
        lake: metadata and rows of the tables.
        records: of batches whose snapshots may have expired.
    """

    def __init__(self, settings: Settings, lake: IcebergLake, records: BatchRecords) -> None:
        self._settings, self._lake, self._landed = settings, lake, LandedBatches(records)

    def publish(self, use_case: UseCase, batch: Batch, attempt: str) -> IngestResult:
        """Stage on a branch, audit, fast-forward main; exactly once by `batch.batch_id`.

        Raises:
            UserError: the batch cannot be read or does not have the declared columns and types; nothing was written.
            ConflictError: other writers were faster, several times.
            NotInProcessError: only Spark can read the batch or write the table; nothing was written.
        """
        table = use_case.table.name
        if batch.batch_id is None or not batch.files:
            return IngestResult(outcome="nothing", batch_id=batch.batch_id, table=table, reason=batch.note)
        state = self._lake.table_state(table)
        found = self._landed.find(state, batch.batch_id)
        if state is not None and found is not None:
            return published_already(state, found)
        check_table(use_case, state)
        with readable(self._settings, batch) as here:
            rows = typed_rows(use_case, here, layouts(use_case, here))
            check_unchanged(here)
            return _Publication(self._settings, self._lake, self._landed, use_case, here, rows).run(attempt)


class _Publication(Publication):
    """One publication of one batch, whose rows are at hand."""

    def __init__(  # noqa: PLR0913, PLR0917 - the state of one publication
        self,
        settings: Settings,
        lake: IcebergLake,
        landed: LandedBatches,
        use_case: UseCase,
        batch: Batch,
        rows: pa.Table,
    ) -> None:
        super().__init__(lake, landed, use_case, batch)
        self._settings, self._iceberg, self._rows = settings, lake, rows

    def check(self) -> None:
        """The rows have been read already; the table must be one that pyiceberg can write."""
        loaded = self._iceberg.find(self._table)
        if loaded is not None:
            check_writable(loaded)

    def create_table(self) -> None:
        """Make the table with the declared columns."""
        columns = {
            c: "timestamptz" if t == "timestamp" else t for c, t in self._use_case.table.columns.items()
        }
        made_for = {MADE_FOR_PROPERTY: self.made_for}
        partition_by = self._use_case.table.partition_by
        create_table(self._settings, self._iceberg, self._table, columns, partition_by, made_for)

    def open_refs(self) -> IcebergRefs:
        """The table's branches."""
        return IcebergRefs(self._settings, self._loaded())

    def append(self, branch: str, properties: dict[str, str]) -> None:
        """Append the batch's rows to the branch, with these properties in the snapshot's summary."""
        refs = self.open_refs()
        schema = arrow_schema(refs.table)
        refs.append(branch, self._rows.select(schema.names).cast(schema), properties)

    def audit(self, refs: BatchRefs, staged: Staged) -> tuple[RuleResult, ...]:
        """One aggregation over the staged rows; older rows only where the table may have some with the same keys."""
        rows = self._staged_rows(staged)
        found = _aggregates(rows, audit_sql(self._use_case, DUCKDB))
        known = 0
        if refs.head() is not None and self._use_case.expectations.unique and found["rows"]:
            known = self._known_keys(refs, rows, staged.parent_id, (found["first_key"], found["last_key"]))
        return judge(self._use_case, found, known)

    def keep_refused(self, staged: Staged, rules: tuple[RuleResult, ...]) -> str:
        """Keep the staged rows with the rules that they break; the URI of the folder."""
        return keep_refused(self._staged_rows(staged), self._settings, self._use_case, self._batch, rules)

    def drop_table(self) -> None:
        """Take a table away that has never had a row, files included."""
        with reachable(self._settings):
            self._iceberg.catalog.purge_table(self._table)

    def _loaded(self) -> Table:
        loaded = self._iceberg.find(self._table)
        if loaded is None:
            raise LakeloopError("the table is gone", where=self._table, fix="run the step again")
        return loaded

    def _staged_rows(self, staged: Staged) -> pa.Table:
        import pyarrow as pa

        table = self._loaded()
        selected = select(schema_at(table, staged.snapshot_id), None, self._table)
        return pa.Table.from_batches(appended(table, staged.parent_id, staged.snapshot_id, selected))

    def _known_keys(self, refs: BatchRefs, rows: pa.Table, parent: str, ends: tuple[Any, Any]) -> int:
        """Rows of the batch whose unique columns main has already; files outside the batch's key range are not read."""
        import pyarrow as pa
        from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThanOrEqual

        columns = list(self._use_case.expectations.unique)
        filter_: Any = AlwaysTrue()
        if type(ends[0]) in {int, str}:
            if not refs.may_hold(parent, columns[0], *ends):
                return 0
            filter_ = And(GreaterThanOrEqual(columns[0], ends[0]), LessThanOrEqual(columns[0], ends[1]))
        table = self._loaded()
        selected = select(schema_at(table, parent), columns, self._table)
        before = pa.Table.from_batches(stream(table, int(parent), selected, filter_))
        return int(rows.select(columns).join(before, columns, join_type="left semi").num_rows)


def _aggregates(rows: pa.Table, aggregates: dict[str, str]) -> dict[str, Any]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("staged", rows)
        listed = ", ".join(f'{sql} AS "{alias}"' for alias, sql in aggregates.items())
        # By Arrow: DuckDB itself gives instants to Python by a library that is not here.
        found = connection.sql(f"SELECT {listed} FROM staged").to_arrow_table()  # noqa: S608 - quoted names
    row: dict[str, Any] = found.to_pylist()[0]
    return row
