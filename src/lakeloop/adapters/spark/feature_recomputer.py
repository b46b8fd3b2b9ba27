"""A version's features computed again from the source snapshots, into a scratch table that goes afterwards."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.feature_rows import feature_rows
from lakeloop.adapters.spark.ranges import java_table, rows_again
from lakeloop.adapters.spark.session import spark_session
from lakeloop.adapters.spark.sql import create_table, qualified, rows_at
from lakeloop.adapters.spark.trainer import SparkTrainer
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import FeatureTable, feature_table
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.rereading import SCRATCH_MARK, ranges_to_reread
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, SnapshotRange, TableState
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.ports.recomputer import Recomputed
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RANGE_NAMES = ("newest", "earlier")


class SparkFeatureRecomputer:
    """Implements `lakeloop.ports.lake.FeatureRecomputer`.

    Args:
        settings: where to work.
        lake: metadata.
        session: an open session to use and leave open.
    """

    def __init__(self, settings: Settings, lake: Lake, session: SparkSession | None = None) -> None:
        self._settings, self._lake, self._session = settings, lake, session

    @contextmanager
    def recompute(self, use_case: UseCase, training_set: TrainingSet) -> Iterator[Recomputed]:
        """The training set's rows computed anew; their table is dropped at the end, whatever happens in between.

        Raises:
            LakeloopError: the source table is gone, or Spark cannot compute the features.
            RefusedError: the source rows cannot be read any more.
        """
        state = self._lake.table_state(training_set.range.table)
        if state is None:
            raise LakeloopError("there is no such table", where=training_set.range.table)
        types = {name: kind for _, name, kind in training_set.watermark_columns} or {
            column.name: column.type for column in state.columns
        }
        name = f"{use_case.table.name}__{use_case.name}{SCRATCH_MARK}{secrets.token_hex(6)}"
        table = replace(feature_table(use_case, types), name=name)
        with self._open(use_case, training_set) as spark:
            spark.conf.set("spark.sql.ansi.enabled", "false")  # as in training: 1/0 and ln(-1) are NULL
            try:
                made = self._write(spark, state, table, training_set)
                yield Recomputed(made, SparkTrainer(self._settings, spark))
            finally:
                _drop(spark, qualified(self._settings, name))

    def _open(self, use_case: UseCase, training_set: TrainingSet) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(
            self._settings,
            f"replay {use_case.name}",
            rows=training_set.rows,
            resources=use_case.spark,
            tasks=use_case.train.workers if use_case.train.engine == "spark" else None,
        )

    def _write(
        self, spark: SparkSession, state: TableState, table: FeatureTable, training_set: TrainingSet
    ) -> TrainingSet:
        create_table(spark, self._settings, table.name, table.types, (RANGE_ID_COLUMN,))
        again = ranges_to_reread(training_set)
        ranges = {RANGE_NAMES[0] if not i else f"{RANGE_NAMES[1]}-{i}": r for i, r in enumerate(again)}
        for range_id, range_ in ranges.items():
            self._append(spark, state, table, range_, range_id)
        scratch = self._lake.table_state(table.name)
        if scratch is None or scratch.current_snapshot_id is None:
            raise LakeloopError("the scratch table is gone", where=table.name, fix="run the step again")
        counts = {row[0]: int(row[1]) for row in self._counts(spark, table)}
        return training_set.model_copy(
            update={
                "feature_table": table.name,
                "feature_table_uuid": scratch.table_uuid,
                "feature_snapshot_id": scratch.current_snapshot_id,
                "range_ids": tuple(ranges),
                "newest_range_id": RANGE_NAMES[0],
                "rows": sum(counts.values()),
                "newest_rows": counts.get(RANGE_NAMES[0], 0),
            }
        )

    def _append(
        self,
        spark: SparkSession,
        state: TableState,
        table: FeatureTable,
        range_: SnapshotRange,
        range_id: str,
    ) -> None:
        from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

        try:
            history = None
            if table.past and range_.from_snapshot_id is not None:
                history = rows_at(spark, self._settings, range_.table, range_.to_snapshot_id)
            rows = feature_rows(rows_again(spark, self._settings, state, range_), table, range_id, history)
            writer = rows.where(F.col(LABEL_COLUMN).isNotNull()).writeTo(
                qualified(self._settings, table.name)
            )
            writer.option("distribution-mode", "none").append()
        except spark_failures() as error:
            raise LakeloopError(
                f"Spark could not compute the features again: {first_line(error)}", where=range_.table
            ) from error

    def _counts(self, spark: SparkSession, table: FeatureTable) -> list[tuple[str, int]]:
        rows = spark.table(qualified(self._settings, table.name)).groupBy(RANGE_ID_COLUMN).count().collect()
        return [(str(row[0]), int(row[1])) for row in rows]


def _drop(spark: SparkSession, qualified_name: str) -> None:
    """The table and its files; of a local folder also the empty folders, which Iceberg leaves."""
    if not spark.catalog.tableExists(qualified_name):
        return
    place = urlsplit(str(java_table(spark, qualified_name).location()))
    spark.sql(f"DROP TABLE {qualified_name} PURGE")
    if place.scheme in {"", "file"}:
        shutil.rmtree(unquote(place.path), ignore_errors=True)
