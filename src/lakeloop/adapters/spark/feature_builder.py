"""Feature rows of snapshot ranges, computed in Spark into the feature table, each range exactly once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.range_builder import RangeAppends, RangeBuilder
from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.feature_rows import feature_rows
from lakeloop.adapters.spark.session import spark_session
from lakeloop.adapters.spark.source_rows import source_rows
from lakeloop.adapters.spark.sql import add_columns, create_table, qualified, rows_at
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import UNKNOWN_LABEL, FeatureTable, missing_columns, rows_to_read
from lakeloop.domain.labels import quoted
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, SnapshotRange
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS_A_FILE = 2_000_000


class SparkFeatureBuilder(RangeBuilder):
    """Implements `lakeloop.ports.lake.FeatureBuilder`.

    Args:
        settings: where to work.
        lake: metadata and label reads.
        session: an open session to use and leave open; by default each `build` that needs one starts and stops it.
    """

    def __init__(self, settings: Settings, lake: Lake, session: SparkSession | None = None) -> None:
        super().__init__(settings, lake)
        self._session = session

    def append_ranges(
        self, use_case: UseCase, plan: Plan, table: FeatureTable, missing: list[SnapshotRange]
    ) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""
        with self._open(use_case, plan) as spark:
            spark.conf.set("spark.sql.ansi.enabled", "false")  # 1/0 and ln(-1) are NULL, as when serving
            return _Ranges(spark, self._settings, self._lake, table, plan).append(missing)

    def _open(self, use_case: UseCase, plan: Plan) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(
            self._settings,
            f"build_training_set {use_case.name}",
            rows=plan.added_rows,
            resources=use_case.spark,
        )


class _Ranges(RangeAppends):
    """Appends of ranges to one feature table in an open session."""

    def __init__(
        self, spark: SparkSession, settings: Settings, lake: Lake, table: FeatureTable, plan: Plan
    ) -> None:
        super().__init__(lake, table, plan)
        self._spark, self._settings = spark, settings
        self._name = qualified(settings, table.name)

    def append(self, ranges: list[SnapshotRange]) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""
        self._ready()
        refs = TableRefs(self._spark, self._name)
        counts: dict[str, int] = {}
        for range_ in ranges:
            counts = self.append_once(refs, range_, self._write)
        return counts

    def _ready(self) -> None:
        state = self._lake.table_state(self._table.name)
        if state is None:
            create_table(self._spark, self._settings, self._table.name, self._table.types, (RANGE_ID_COLUMN,))
            return
        lacking = missing_columns(self._table, [(c.name, c.type) for c in state.columns])
        if lacking:
            add_columns(self._spark, self._settings, self._table.name, lacking)

    def _write(self, range_: SnapshotRange, branch: str) -> dict[str, int]:
        from pyspark.sql import Observation

        observed = Observation()
        try:
            rows = self._rows(range_, observed)
            writer = rows.writeTo(f"{self._name}.{quoted('branch_' + branch)}").option(
                "distribution-mode", "none"
            )
            for key, value in self.properties(range_).items():
                writer = writer.option(f"snapshot-property.{key}", value)
            writer.append()
        except spark_failures() as error:
            raise self._explained(error) from error
        return {name: int(value or 0) for name, value in observed.get.items()}

    def _rows(self, range_: SnapshotRange, observed: Any) -> DataFrame:
        from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

        source = source_rows(self._spark, self._settings, range_, self._plan)
        range_id = range_.range_id(self._table.hash)
        rows = feature_rows(source, self._table, range_id, self._history(range_), self._rows_at_most(range_))
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

    def _history(self, range_: SnapshotRange) -> DataFrame | None:
        """What the range's rows look back at; None where that is the range itself, or nothing looks back."""
        if not self._table.past or range_.from_snapshot_id is None:
            return None
        return rows_at(self._spark, self._settings, range_.table, range_.to_snapshot_id)

    def _rows_at_most(self, range_: SnapshotRange) -> int | None:
        """Of the range and what its rows look back at; not asked where nothing looks back."""
        if not self._table.past:
            return None
        state = self._lake.table_state(range_.table)
        known = None if state is None else rows_to_read(state, self._plan, self._table, [range_])
        added = self._plan.added_rows if range_.from_snapshot_id is not None else 0
        return None if known is None or added is None else known + added

    def _of_other_definitions(self) -> list[tuple[str, str]]:
        """Columns that only earlier definitions of the features have."""
        state = self._lake.table_state(self._table.name)
        known = [] if state is None else [(c.name, c.type) for c in state.columns]
        return [(name, kind) for name, kind in known if name not in self._table.types]

    def _ordered(self, rows: DataFrame) -> DataFrame:
        """A small range as one file in the total order; a large one as it is read.

        Training sorts its rows itself, so a shuffle and a sort here would only cost: at 5 million rows they took 40 %
        of the whole pass. Rows that look back come out of a shuffle, in as many parts as Spark saw fit.
        """
        if self._table.past:
            return rows
        files = ceil((self._plan.added_rows or ROWS_A_FILE * 16) / ROWS_A_FILE)
        return (
            rows.coalesce(1).sortWithinPartitions(*self._table.order) if files == 1 else rows.coalesce(files)
        )

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
