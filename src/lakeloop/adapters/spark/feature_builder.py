"""Feature rows of snapshot ranges, computed in Spark into the feature table, each range exactly once."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.feature_rows import feature_rows
from lakeloop.adapters.spark.session import spark_session
from lakeloop.adapters.spark.source_rows import source_rows
from lakeloop.adapters.spark.sql import create_table, qualified
from lakeloop.adapters.spark.staging import StagingKey, attempts, stage
from lakeloop.domain.errors import ConflictError, LakeloopError, RefusedError, UserError
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import (
    FEATURE_HASH_PROPERTY,
    NET_CHANGES,
    RANGE_FROM_PROPERTY,
    RANGE_PROPERTY,
    RANGE_READ_PROPERTY,
    RANGE_TO_PROPERTY,
    SOURCE_UUID_PROPERTY,
    UNKNOWN_LABEL,
    BuiltRange,
    FeatureTable,
    built_ranges,
    feature_table,
    missing_columns,
    window_ranges,
)
from lakeloop.domain.labels import quoted
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, SnapshotRange, TableState
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PUBLISH_ATTEMPTS = 5
ROWS_A_FILE = 2_000_000


class SparkFeatureBuilder:
    """Implements `lakeloop.ports.lake.FeatureBuilder`.

    Args:
        settings: where to work.
        lake: metadata and label reads.
        session: an open session to use and leave open; by default each `build` that needs one starts and stops it.
    """

    def __init__(self, settings: Settings, lake: Lake, session: SparkSession | None = None) -> None:
        self._settings, self._lake, self._session = settings, lake, session

    def build(self, use_case: UseCase, plan: Plan) -> TrainingSet:
        """Rows of the plan's range, and of the earlier ranges that the window policy asks for.

        Ranges that the feature table holds already are adopted; no JVM starts when that is all of them.

        Raises:
            UserError: a feature or the label cannot be computed, or the training set has one class only.
            ConflictError: the table changed since it was planned.
            RefusedError: an earlier range that the window needs cannot be read any more.
        """
        range_ = _planned(plan)
        state = self._source(range_, plan)
        table = self._named(feature_table(use_case, {c.name: c.type for c in state.columns}))
        built = built_ranges(self._lake.table_state(table.name), table.hash)
        ranges = window_ranges(use_case.train.window, range_, built)
        _check_changes(plan, [built.get(r.range_id(table.hash)) for r in ranges[1:]])
        missing = [r for r in reversed(ranges) if r.range_id(table.hash) not in built]
        _check_readable(missing, range_, state)
        started, counts = time.monotonic(), dict[str, int]()
        if missing:
            with self._open(use_case, plan) as spark:
                spark.conf.set("spark.sql.ansi.enabled", "false")  # 1/0 and ln(-1) are NULL, as when serving
                counts = _Ranges(spark, self._settings, self._lake, table, plan).append(missing)
        seconds = round(time.monotonic() - started, 3) if missing else 0.0
        return self._training_set(use_case, plan, table, ranges, counts, seconds)

    def _open(self, use_case: UseCase, plan: Plan) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(
            self._settings,
            f"build_training_set {use_case.name}",
            rows=plan.added_rows,
            resources=use_case.spark,
        )

    def _source(self, range_: SnapshotRange, plan: Plan) -> TableState:
        state = self._lake.table_state(range_.table)
        now = () if state is None else tuple((c.field_id, c.name, c.type) for c in state.columns)
        if state is None or state.table_uuid != range_.table_uuid or (plan.columns and now != plan.columns):
            raise ConflictError(
                "the table changed since it was planned", where=range_.table, fix="run the step again"
            )
        return state

    def _named(self, table: FeatureTable) -> FeatureTable:
        """A feature that changed its type cannot share the table: that definition gets one of its own."""
        state = self._lake.table_state(table.name)
        existing = [] if state is None else [(c.name, c.type) for c in state.columns]
        if missing_columns(table, existing) is None:
            return replace(table, name=f"{table.name}_{table.hash[:8]}")
        return table

    def _training_set(  # noqa: PLR0913, PLR0917
        self,
        use_case: UseCase,
        plan: Plan,
        table: FeatureTable,
        ranges: tuple[SnapshotRange, ...],
        counts: dict[str, int],
        seconds: float,
    ) -> TrainingSet:
        state = self._lake.table_state(table.name)
        built = built_ranges(state, table.hash)
        used = [built[r.range_id(table.hash)] for r in ranges]
        if state is None:
            raise LakeloopError("the feature table is gone", where=table.name, fix="run the step again")
        order = list(built)
        last = max(used, key=lambda b: order.index(b.range_id))
        if not (counts.get("positives") and counts.get("negatives")):
            self._check_classes(table, last, used, use_case)
        newest = ranges[0]
        return TrainingSet(
            use_case=use_case.name,
            range=newest,
            snapshots=tuple(s.snapshot_id for s in plan.snapshots),
            schema_id=plan.schema_id,
            feature_hash=table.hash,
            feature_table=table.name,
            feature_table_uuid=state.table_uuid,
            feature_snapshot_id=last.snapshot_id,
            range_ids=tuple(b.range_id for b in used),
            newest_range_id=used[0].range_id,
            rows=sum(b.rows for b in used),
            newest_rows=used[0].rows,
            watermark_columns=plan.columns,
            window_from_snapshot_id=ranges[-1].from_snapshot_id if len(ranges) > 1 else None,
            spark_seconds=seconds,
        )

    def _check_classes(
        self, table: FeatureTable, last: BuiltRange, used: list[BuiltRange], use_case: UseCase
    ) -> None:
        """Read labels until both classes were seen: usually the first batch."""
        ids = [b.range_id for b in used]
        seen: set[float] = set()
        for batch in self._lake.read_batches(table.name, last.snapshot_id, [LABEL_COLUMN], ids):
            seen |= set(batch.column(0).unique().to_pylist())
            if len(seen) > 1:
                return
        what = f"only the class {seen.pop():g}" if seen else "no labelled row"
        raise UserError(
            f"the training set has {what} in label {use_case.label.column!r}",
            where=use_case.table.name,
            fix="wait for more rows (snapshots.min_rows), or widen train.window",
        )


class _Ranges:
    """Appends of ranges to one feature table in an open session."""

    def __init__(
        self, spark: SparkSession, settings: Settings, lake: Lake, table: FeatureTable, plan: Plan
    ) -> None:
        self._spark, self._settings, self._lake, self._table, self._plan = spark, settings, lake, table, plan
        self._name = qualified(settings, table.name)

    def append(self, ranges: list[SnapshotRange]) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""
        self._ready()
        refs = TableRefs(self._spark, self._name)
        counts: dict[str, int] = {}
        for range_ in ranges:
            counts = self._append(refs, range_)
        return counts

    def _ready(self) -> None:
        state = self._lake.table_state(self._table.name)
        if state is None:
            create_table(self._spark, self._settings, self._table.name, self._table.types, (RANGE_ID_COLUMN,))
            return
        lacking = missing_columns(self._table, [(c.name, c.type) for c in state.columns])
        if lacking:
            added = ", ".join(f"{quoted(name)} {kind}" for name, kind in lacking.items())
            self._spark.sql(f"ALTER TABLE {self._name} ADD COLUMNS ({added})")

    def _append(self, refs: TableRefs, range_: SnapshotRange) -> dict[str, int]:
        range_id = range_.range_id(self._table.hash)
        key = StagingKey(RANGE_PROPERTY, range_id, f"lakeloop_range_{range_id}")
        counts: dict[str, int] = {}
        for _ in range(PUBLISH_ATTEMPTS):
            state = self._lake.table_state(self._table.name)
            if range_id in built_ranges(state, self._table.hash):
                refs.refresh()
                refs.drop(*attempts(refs, key))
                return {}
            main = state.current_snapshot_id if state is not None else None
            staged = stage(
                refs, key, main, lambda branch: counts.update(self._write(range_, range_id, branch))
            )
            if staged is None:
                continue
            record = self._record(range_, range_id, refs.summary(staged.snapshot_id))
            if refs.publish(staged, attempts(refs, key), record):
                return counts
        raise ConflictError(
            f"main moved {PUBLISH_ATTEMPTS} times while range {range_id} was computed",
            where=self._table.name,
            fix="run the step again when the other writers are done",
        )

    def _record(self, range_: SnapshotRange, range_id: str, summary: dict[str, str]) -> dict[str, str]:
        """The table property that keeps the range known when its snapshot has expired."""
        rows = int(summary.get("added-records", "0"))
        start, end = range_.from_snapshot_id, range_.to_snapshot_id
        built = BuiltRange(range_id, start, end, "", rows, self._read(range_))
        return dict([built.record(self._table.hash)])

    def _read(self, range_: SnapshotRange) -> str:
        net = self._plan.action == "changelog" and range_ == self._plan.range
        return NET_CHANGES if net and range_.from_snapshot_id is not None else ""

    def _write(self, range_: SnapshotRange, range_id: str, branch: str) -> dict[str, int]:
        from pyspark.sql import Observation

        observed = Observation()
        try:
            rows = self._rows(range_, range_id, observed)
            writer = rows.writeTo(f"{self._name}.{quoted('branch_' + branch)}").option(
                "distribution-mode", "none"
            )
            for key, value in self._properties(range_, range_id).items():
                writer = writer.option(f"snapshot-property.{key}", value)
            writer.append()
        except spark_failures() as error:
            raise self._explained(error) from error
        return {name: int(value or 0) for name, value in observed.get.items()}

    def _rows(self, range_: SnapshotRange, range_id: str, observed: Any) -> DataFrame:
        from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

        source = source_rows(self._spark, self._settings, range_, self._plan)
        rows = feature_rows(source, self._table, range_id)
        label = F.col(LABEL_COLUMN)
        rows = rows.observe(
            observed,
            F.count_if(label.isNull()).alias("unlabelled"),
            F.count_if(label == 1).alias("positives"),
            F.count_if(label == 0).alias("negatives"),
        )
        rows = rows.where(label.isNotNull())
        for name, kind in self._of_other_definitions():
            rows = rows.withColumn(name, F.lit(None).cast(kind))
        return self._ordered(rows)

    def _of_other_definitions(self) -> list[tuple[str, str]]:
        """Columns that only earlier definitions of the features have."""
        state = self._lake.table_state(self._table.name)
        known = [] if state is None else [(c.name, c.type) for c in state.columns]
        return [(name, kind) for name, kind in known if name not in self._table.types]

    def _ordered(self, rows: DataFrame) -> DataFrame:
        """A small range as one file in the total order; a large one as it is read.

        Training sorts its rows itself, so a shuffle and a sort here would only cost: at 5 million rows they took 40 %
        of the whole pass.
        """
        files = ceil((self._plan.added_rows or ROWS_A_FILE * 16) / ROWS_A_FILE)
        return (
            rows.coalesce(1).sortWithinPartitions(*self._table.order) if files == 1 else rows.coalesce(files)
        )

    def _properties(self, range_: SnapshotRange, range_id: str) -> dict[str, str]:
        return {
            RANGE_PROPERTY: range_id,
            RANGE_FROM_PROPERTY: range_.from_snapshot_id or "",
            RANGE_TO_PROPERTY: range_.to_snapshot_id,
            FEATURE_HASH_PROPERTY: self._table.hash,
            SOURCE_UUID_PROPERTY: range_.table_uuid,
            RANGE_READ_PROPERTY: self._read(range_),
        }

    def _explained(self, error: Exception) -> LakeloopError:
        text = first_line(error)
        if "AnalysisException" in type(error).__name__ or "ParseException" in type(error).__name__:
            return UserError(
                f"a feature cannot be computed: {text}", where="features", fix="correct its expression"
            )
        if UNKNOWN_LABEL in str(error):
            return UserError(
                "the label has values of neither class",
                where="label",
                fix="declare label.positive, or clean the rows",
            )
        return LakeloopError(f"Spark could not compute the features: {text}", where=self._table.name)


def _planned(plan: Plan) -> SnapshotRange:
    if plan.range is None or plan.action in {"nothing", "refuse"}:
        raise LakeloopError(f"a plan to {plan.action} has no training set", where="plan", fix="plan again")
    return plan.range


def _check_changes(plan: Plan, earlier: list[BuiltRange | None]) -> None:
    """Net changes are new rows; what was deleted or updated may still stand in the rows of ranges before them."""
    net = [plan.action == "changelog", *(b is not None and b.read == NET_CHANGES for b in earlier)]
    if any(net[:-1]):
        raise RefusedError(
            "rows of earlier ranges were deleted or changed, and the window trains on earlier ranges",
            where=plan.range.table if plan.range else "",
            fix="set train.window.policy: increment, or snapshots.on_delete and on_overwrite: rebuild",
        )


def _check_readable(missing: list[SnapshotRange], newest: SnapshotRange, state: TableState) -> None:
    """An earlier range is read at its end: that snapshot must still be there."""
    retained = {s.snapshot_id for s in state.snapshots}
    for range_ in missing:
        if range_ != newest and range_.to_snapshot_id not in retained:
            raise RefusedError(
                f"rows up to snapshot {range_.to_snapshot_id} cannot be read any more: it has expired",
                where=range_.table,
                fix="set train.window.policy: increment, or let a rebuild start anew",
            )
