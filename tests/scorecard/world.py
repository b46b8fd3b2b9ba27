"""The shared set-up: one embedded lake, one Spark session, one MLflow; each scenario has its own namespace."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

from lakeloop import bootstrap
from lakeloop.adapters.iceberg.catalog import open_catalog
from lakeloop.adapters.spark import feature_builder, publisher
from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.batch import Batch
from lakeloop.settings import Settings
from tests.scorecard import labs
from tests.scorecard.loop import Loop
from tests.scorecard.pumps import FEATURES, use_case
from tests.scorecard.workbench import Workbench


@dataclass
class World:
    """Where both sides work."""

    settings: Settings
    spark: Any
    folder: Path
    loops: list[Loop] = field(default_factory=list)
    workbenches: list[Workbench] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> str:
        """As Spark calls it."""
        return f"{self.settings.catalog_name}.{name}.pumps"

    def create(self, name: str, rows: pa.Table) -> None:
        """Table `NAME.pumps` with its first snapshot."""
        catalog = open_catalog(self.settings)
        catalog.create_namespace(name)
        catalog.create_table(f"{name}.pumps", rows.schema).append(rows)

    def append(self, name: str, rows: pa.Table) -> None:
        open_catalog(self.settings).load_table(f"{name}.pumps").append(rows)

    def sql(self, text: str) -> list[Any]:
        found: list[Any] = self.spark.sql(text).collect()
        return found

    def ids(self, name: str) -> list[int]:
        """Keys of the rows that `NAME.pumps` has now."""
        return [row["id"] for row in self.spark.table(self.table(name)).select("id").collect()]

    def snapshot(self, name: str) -> int:
        """The present one of `NAME.pumps`."""
        current = open_catalog(self.settings).load_table(f"{name}.pumps").current_snapshot()
        assert current is not None
        return current.snapshot_id

    def frame(self, rows: pa.Table) -> Any:
        """For the labs: a batch as a Spark frame."""
        return self.spark.createDataFrame(rows)

    def batch(self, name: str, rows: pa.Table) -> Batch:
        """For lakeloop: the same batch as a file."""
        path = self.folder / f"{name}.parquet"
        pq.write_table(rows, path)
        return Batch(kind="files", batch_id=name, number=1, files=(path.as_uri(),), format="parquet")

    def loop(self, name: str, **changes: Any) -> Loop:
        made = Loop(self.settings, use_case(name, **changes), self.folder / "loops" / name)
        self.loops.append(made)
        return made

    def workbench(self, name: str) -> Workbench:
        made = Workbench(self.folder / "workbenches" / name)
        self.workbenches.append(made)
        return made

    def labs_train(
        self, name: str, experiment: str = "", columns: tuple[str, ...] = FEATURES
    ) -> labs.LabsRun:
        """The labs' training job on `NAME.pumps`.

        Args:
            name: of the scenario.
            experiment: by default one of its own for each training, so that the labs' look-up of the latest run
                finds the right one: one fault a scenario.
            columns: as the training selects them.
        """
        import mlflow

        found = experiment or f"labs-{name}-{len(mlflow.search_experiments())}"
        if mlflow.get_experiment_by_name(found) is None:
            mlflow.create_experiment(found, artifact_location=(self.folder / "labs" / found).as_uri())
        return labs.train(self.spark, self.table(name), found, columns)


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """The set-up below a folder; servers and Spark end with it."""
    settings = Settings(
        home=folder / "home", spark_master="local[2]", pipeline_run_by="scorecard", engine="spark"
    )
    with ExitStack() as stack:
        spark = stack.enter_context(spark_session(settings, "scorecard", rows=1000))
        _share(stack, spark)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # the steps' progress
        bootstrap.run_tracker(settings)._client  # noqa: B018 - makes the store, before the labs connect to it
        import mlflow

        stack.callback(mlflow.set_tracking_uri, mlflow.get_tracking_uri())
        mlflow.set_tracking_uri(settings.tracking_uri)
        world = World(settings, spark, folder)
        stack.callback(_stop, world)
        yield world


def _share(stack: ExitStack, spark: Any) -> None:
    """The steps' Spark adapters work in the session that is open already: nothing else is replaced."""
    for module in (feature_builder, publisher):
        shared = mock.Mock(return_value=nullcontext(spark))
        stack.enter_context(mock.patch.object(module, "spark_session", shared))


def _stop(world: World) -> None:
    for part in (*world.loops, *world.workbenches):
        part.stop()


@contextmanager
def variables(**changes: str) -> Iterator[None]:
    """Environment variables of the servers that are started inside."""
    with mock.patch.dict(os.environ, changes):
        yield
