"""Work done by the engine that fits it, chosen once it is known how much there is to read."""

from __future__ import annotations

from collections.abc import Callable

from lakeloop.adapters.iceberg.range_builder import RangeBuilder
from lakeloop.adapters.in_process.batch_rows import OddTextError
from lakeloop.adapters.in_process.tables import NotInProcessError
from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.domain.engines import EngineChoice, choose_engine, rows_in_memory
from lakeloop.domain.feature_table import FeatureTable, rows_to_read
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.use_case import UseCase
from lakeloop.free_memory import available_bytes
from lakeloop.ports.lake import BatchPublisher, Lake
from lakeloop.settings import Settings

Tell = Callable[[str], None]


class ChosenFeatureBuilder(RangeBuilder):
    """Implements `lakeloop.ports.lake.FeatureBuilder` by one of two engines, which give the same rows.

    Args:
        settings: where to work, and which engine is asked for.
        lake: metadata and label reads.
        local: the in-process engine, made when it is chosen.
        spark: the other.
        tell: told of the choice.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        local: Callable[[], RangeBuilder],
        spark: Callable[[], RangeBuilder],
        tell: Tell,
    ) -> None:
        super().__init__(settings, lake)
        self._local, self._spark, self._tell = local, spark, tell

    def append_ranges(
        self, use_case: UseCase, plan: Plan, table: FeatureTable, missing: list[SnapshotRange]
    ) -> dict[str, int]:
        """Append each range once, oldest first; label counts of the newest one that was computed here."""
        state = self._lake.table_state(missing[-1].table)
        rows = None if state is None else rows_to_read(state, plan, table, missing)
        choice = _choice(self._settings, use_case, rows, 0 if state is None else len(state.columns))
        self._tell(f"features: {choice.told}")
        self.by_spark = choice.engine == "spark"
        if choice.engine == "spark":
            return self._spark().append_ranges(use_case, plan, table, missing)
        try:
            return self._local().append_ranges(use_case, plan, table, missing)
        except NotInProcessError as error:
            if _only_local(self._settings, use_case):
                raise
            self._tell(f"features: by Spark after all: {error.problem}")
            self.by_spark = True
            return self._spark().append_ranges(use_case, plan, table, missing)


class ChosenBatchPublisher:
    """Implements `lakeloop.ports.lake.BatchPublisher` by one of two engines, which judge alike.

    Args:
        settings: where to work, and which engine is asked for.
        rows_of: rows of a batch, at least about.
        local: the in-process engine, made when it is chosen.
        spark: the other.
        tell: told of the choice.
    """

    def __init__(
        self,
        settings: Settings,
        rows_of: Callable[[Batch], int],
        local: Callable[[], BatchPublisher],
        spark: Callable[[], BatchPublisher],
        tell: Tell,
    ) -> None:
        self._settings, self._rows_of = settings, rows_of
        self._local, self._spark, self._tell = local, spark, tell

    def publish(self, use_case: UseCase, batch: Batch, attempt: str) -> IngestResult:
        """Stage on a branch, audit, fast-forward main; exactly once by `batch.batch_id`.

        Raises:
            UserError: the batch cannot be read or does not have the declared columns and types; nothing was written.
        """
        if batch.batch_id is None or not batch.files:
            return self._local().publish(use_case, batch, attempt)
        choice = _choice(self._settings, use_case, self._rows_of(batch), _batch_columns(use_case))
        self._tell(f"batch: {choice.told}")
        if choice.engine == "spark":
            return self._spark().publish(use_case, batch, attempt)
        try:
            return self._local().publish(use_case, batch, attempt)
        except (NotInProcessError, OddTextError) as error:
            if _only_local(self._settings, use_case):
                raise
            self._tell(f"batch: by Spark after all: {error.problem}")
            return self._spark().publish(use_case, batch, attempt)


def _choice(settings: Settings, use_case: UseCase, rows: int | None, columns: int) -> EngineChoice:
    most_rows = settings.local_engine_rows
    if most_rows is None:
        most_rows = rows_in_memory(available_bytes(), columns)
    return choose_engine(use_case.engine, settings.engine, settings.spark_master, rows, most_rows)


def _batch_columns(use_case: UseCase) -> int:
    """About how many columns a batch has: those that are declared; its files are not opened for it."""
    table = use_case.table
    return max(len(table.columns), len(use_case.features)) + len(table.key) + 2  # event time, label


def _only_local(settings: Settings, use_case: UseCase) -> bool:
    return "local" in {settings.engine, use_case.engine}
