"""The labs' logic, written anew from its description (field notes on the labs), faults included.

The range is one snapshot: the last row of `.snapshots`, read from its parent in append mode. The latest run is
`search_runs(...).iloc[-1]`. A failed append replaces the table. No gate, and no waiting for build or deployment.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xgboost as xgb

from tests.scorecard.pumps import FEATURES
from tests.scorecard.workbench import Workbench


@dataclass(frozen=True)
class LabsRun:
    """What a training job leaves; `ids` is written down for the observer only."""

    run_id: str
    version: str
    model: Path
    ids: list[int]


def create_or_append(frame: Any, table: str) -> None:
    """03: a batch into the table."""
    try:
        frame.writeTo(table).append()
    except:  # noqa: E722 - as the labs have it
        frame.writeTo(table).using("iceberg").createOrReplace()


def read_increment(spark: Any, table: str) -> pd.DataFrame:
    """04: the rows since the last training, as the labs understand it."""
    start = spark.table(f"{table}.snapshots").tail(1)[0]["parent_id"]
    end = spark.table(f"{table}.snapshots").tail(1)[0]["snapshot_id"]
    if start is None:
        return spark.table(table).toPandas()
    reader = spark.read.format("iceberg").option("start-snapshot-id", start)
    return reader.option("end-snapshot-id", end).load(table).toPandas()


def train(spark: Any, table: str, experiment: str, columns: tuple[str, ...] = FEATURES) -> LabsRun:
    """04: train, log, register."""
    import mlflow
    from sklearn.model_selection import train_test_split

    frame = read_increment(spark, table)
    x_train, x_test, y_train, y_test = train_test_split(
        frame[list(columns)], frame["failed"], test_size=0.2, random_state=42
    )
    booster = xgb.train(
        {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 42},
        xgb.DMatrix(x_train, label=y_train),
        20,
    )
    right = (booster.predict(xgb.DMatrix(x_test)) > 0.5) == (y_test == 1)
    mlflow.set_experiment(experiment)
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_param("accuracy", right.mean())
        mlflow.log_param("row_count", frame.count())
        booster.save_model(Path(folder) / "model.ubj")
        mlflow.log_artifact(str(Path(folder) / "model.ubj"), "model")
    source = f"{run.info.artifact_uri}/model"
    return LabsRun(run.info.run_id, register(experiment, source), model_file(source), list(frame["id"]))


def register(name: str, source: str) -> str:
    """04: one more version."""
    import mlflow

    client = mlflow.MlflowClient()
    if not client.search_registered_models(filter_string=f"name='{name}'"):
        client.create_registered_model(name)
    return str(client.create_model_version(name, source).version)


def latest_run(experiment: str) -> tuple[str, Path]:
    """05: "the latest run" and its model."""
    import mlflow

    run = mlflow.search_runs(experiment_names=[experiment]).iloc[-1]
    return str(run["run_id"]), model_file(f"{run['artifact_uri']}/model")


def redeploy(workbench: Workbench, label: str, model: Path, variables: dict[str, str] | None = None) -> str:
    """05: build and deploy; both go on after the job has ended, and nobody looks."""
    workbench.deploy(label, model, variables)
    return "deployed"


def cached(cache: dict[str, Any], image: str, command: str, inputs: str, run: Any) -> Any:
    """A step's cached result, by the text of its specification: the image's name, the command, the inputs."""
    key = f"{image} {command} {inputs}"
    if key not in cache:
        cache[key] = run()
    return cache[key]


def model_file(source: str) -> Path:
    return Path(source.removeprefix("file://")) / "model.ubj"
