"""RunTracker and ModelRegistry: the same suite over MLflow (SQLite, local artifacts) and memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from lakeloop.adapters.memory.models import MemoryModels
from lakeloop.adapters.mlflow.registry import MlflowModelRegistry
from lakeloop.adapters.mlflow.tracker import MlflowRunTracker
from lakeloop.domain.encoding import encode, fit_encoding
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.features import FeatureEncoding, FeatureSpec
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.domain.model_files import MODEL_FILES, model_digest
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Interval, Scores, Verdict
from lakeloop.ports.models import ModelRegistry, RunTracker
from lakeloop.settings import Settings
from tests.emulators.cai import mlflow_plugin, mlflow_server

SNAPSHOT = "3051729675574597004"
FEATURES = (FeatureSpec(name="age", column="age"), FeatureSpec(name="city", column="city"))


@dataclass
class Place:
    tracker: RunTracker
    registry: ModelRegistry
    reopen: Callable[[], tuple[RunTracker, ModelRegistry]]


@pytest.fixture(scope="module")
def mlflow_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbench's tracking store: making one costs seconds, and its use cases differ by test."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A real server of a workbench's MLflow; `make test-old-mlflow`."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server.serving(folder) as url:
        yield Settings(home=folder / "home", mlflow_tracking_uri=url)


@pytest.fixture(
    params=[
        "mlflow",
        "mlflow-of-a-workbench",
        "memory",
        pytest.param("mlflow-2.19-server", marks=pytest.mark.old_mlflow),
    ]
)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "memory":
        models = MemoryModels()
        return Place(models, models, lambda: (models, models))
    if request.param == "mlflow":
        settings: Settings = request.getfixturevalue("mlflow_settings")
    elif request.param == "mlflow-2.19-server":
        settings = request.getfixturevalue("old_server")
    else:
        workspace: Path = request.getfixturevalue("workspace")
        uri = mlflow_plugin.install(monkeypatch, workspace)
        settings = Settings(home=workspace / "home", mlflow_tracking_uri=uri)

    def reopen() -> tuple[RunTracker, ModelRegistry]:
        return MlflowRunTracker(settings), MlflowModelRegistry(settings)

    return Place(*reopen(), reopen)


@dataclass(frozen=True)
class Made:
    trained: TrainedModel
    folder: Path
    encoding: FeatureEncoding
    example: pa.Table

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.trained, self.folder, self.encoding, self.example, {"rounds": "3", "max_depth": "2"}


def lineage(use_case: str, run_key: str) -> Lineage:
    range_ = SnapshotRange(
        table="bank.transactions", table_uuid="u-1", from_snapshot_id=None, to_snapshot_id=SNAPSHOT
    )
    training_set = TrainingSet(
        use_case=use_case,
        range=range_,
        snapshots=("3051729675574597003", SNAPSHOT),
        schema_id=0,
        feature_hash="f" * 16,
        feature_table="bank.transactions_features",
        feature_table_uuid="u-2",
        feature_snapshot_id="9007199254740993",
        range_ids=("a" * 16,),
        newest_range_id="a" * 16,
        rows=200,
        newest_rows=200,
    )
    return Lineage(
        run_key=run_key,
        use_case=use_case,
        use_case_digest="d",
        training_set=training_set,
        code=CodeIdentity(),
        seed=1,
    )


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Made]:
    use_case = f"case_{abs(hash(request.node.name)) % 10**9}"

    def made(run_key: str) -> Made:
        rng = np.random.default_rng(len(run_key))
        table = pa.table({"age": rng.normal(size=200), "city": rng.choice(["bonn", "rome"], 200)})
        encoding = fit_encoding(FEATURES, table, {"age": "double", "city": "string"})
        matrix = encode(table, encoding)
        data = xgb.DMatrix(
            matrix,
            label=matrix[:, 0] > 0,
            feature_names=encoding.names,
            feature_types=encoding.xgboost_types,
            enable_categorical=True,
        )
        booster = xgb.train({"objective": "binary:logistic", "max_depth": 2}, data, 3)
        folder = tmp_path / run_key
        folder.mkdir(exist_ok=True)
        (folder / "booster.ubj").write_bytes(booster.save_raw("ubj"))
        (folder / "encoding.json").write_text(encoding.model_dump_json())
        trained = TrainedModel(
            lineage=lineage(use_case, run_key),
            mlflow_run_id="",
            model_uri="",
            model_digest=model_digest({name: (folder / name).read_bytes() for name in MODEL_FILES}),
            booster_sha256="b",
            rounds=3,
            train_rows=160,
            holdout_rows=40,
            holdout_start="2026-01-01T00:00:00",
            train_metrics={"train_logloss": 0.4},
            history={"train-logloss": tuple(1 / (i + 1) for i in range(300))},
        )
        return Made(trained, folder, encoding, table.slice(0, 5))

    return made


def verdict() -> Verdict:
    scores = Scores(model="challenger", metrics={"roc_auc": Interval(value=0.9, low=0.8, high=0.95)})
    return Verdict(
        decision="promote",
        bootstrap=True,
        metric="roc_auc",
        reasons=("first model",),
        checks=(),
        rows=40,
        positives=20,
        challenger=scores,
    )


def test_a_training_is_logged_once_and_found_by_its_run_key(
    place: Place, make: Callable[[str], Made]
) -> None:
    made = make("k1")
    assert place.tracker.find(made.trained.lineage) is None
    logged = place.tracker.log_training(*made.arguments)
    assert logged.mlflow_run_id
    assert logged.model_uri
    tracker, _ = place.reopen()
    assert tracker.find(made.trained.lineage) == logged
    assert tracker.log_training(*made.arguments) == logged
    assert tracker.find(lineage(made.trained.lineage.use_case, "k2")) is None


def test_a_version_is_made_once_a_run_key_and_keeps_its_training(
    place: Place, make: Callable[[str], Made]
) -> None:
    first = place.tracker.log_training(*make("k1").arguments)
    second = place.tracker.log_training(*make("k2").arguments)
    name = first.lineage.use_case
    registered = place.registry.register(name, first, verdict())
    assert (registered.version, registered.previous_champion) == ("1", None)
    _, registry = place.reopen()
    assert registry.register(name, first, verdict()) == registered
    assert registry.register(name, second, verdict()).version == "2"
    assert registry.trained(name, "1") == first
    assert registry.trained(name, "1").lineage.training_set.range.to_snapshot_id == SNAPSHOT
    with pytest.raises(LakeloopError, match="no version 3"):
        registry.trained(name, "3")


def test_promotion_is_a_compare_and_set(place: Place, make: Callable[[str], Made]) -> None:
    registry = place.registry
    name = make("k1").trained.lineage.use_case
    assert registry.champion(name) is None
    for key in ("k1", "k2"):
        registry.register(name, place.tracker.log_training(*make(key).arguments), verdict())
    assert registry.champion(name) is None
    registry.promote(name, "1", None)
    registry.promote(name, "1", None)
    assert registry.champion(name) == "1"
    with pytest.raises(ConflictError):
        registry.promote(name, "2", None)
    assert registry.champion(name) == "1"
    registry.promote(name, "2", "1")
    assert registry.champion(name) == "2"


def test_a_downloaded_model_has_the_bytes_that_were_trained(
    place: Place, make: Callable[[str], Made], tmp_path: Path
) -> None:
    made = make("k1")
    logged = place.tracker.log_training(*made.arguments)
    version = place.registry.register(logged.lineage.use_case, logged, verdict()).version
    folders = [
        place.registry.download(logged.lineage.use_case, version, tmp_path / "version"),
        place.tracker.fetch(logged, tmp_path / "run"),
    ]
    for folder in folders:
        for name in MODEL_FILES:
            assert (folder / name).read_bytes() == (made.folder / name).read_bytes()


def test_a_changed_artifact_is_refused(
    mlflow_settings: Settings, make: Callable[[str], Made], tmp_path: Path
) -> None:
    made = make("k1")
    logged = MlflowRunTracker(mlflow_settings).log_training(*made.arguments)
    registry = MlflowModelRegistry(mlflow_settings)
    version = registry.register(logged.lineage.use_case, logged, verdict()).version
    booster = next(
        (mlflow_settings.root / "mlartifacts" / logged.lineage.use_case).rglob("lakeloop/booster.ubj")
    )
    booster.write_bytes(booster.read_bytes() + b"\0")
    with pytest.raises(LakeloopError, match="was changed after training"):
        registry.download(logged.lineage.use_case, version, tmp_path / "down")


def test_a_crashed_run_is_replaced_by_one_finished_run(
    mlflow_settings: Settings, make: Callable[[str], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make("k1")
    tracker = MlflowRunTracker(mlflow_settings)
    with monkeypatch.context() as broken:
        broken.setattr(MlflowRunTracker, "_log_model", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tracker.log_training(*made.arguments)
    assert tracker.find(made.trained.lineage) is None
    logged = tracker.log_training(*made.arguments)
    client = tracker._client
    runs = client.search_runs([client.get_run(logged.mlflow_run_id).info.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]


def test_mlflow_shows_lineage_dataset_signature_and_verdict(
    mlflow_settings: Settings, make: Callable[[str], Made]
) -> None:
    import mlflow

    made = make("k1")
    tracker = MlflowRunTracker(mlflow_settings)
    logged = tracker.log_training(*made.arguments)
    tracker.log_verdict(logged.mlflow_run_id, verdict())
    tracker.log_verdict(logged.mlflow_run_id, verdict())
    client = tracker._client
    run = client.get_run(logged.mlflow_run_id)
    assert run.data.tags["lakeloop.to_snapshot_id"] == SNAPSHOT
    assert run.data.tags["lakeloop.verdict"] == "promote"
    assert run.data.params == {"rounds": "3", "max_depth": "2"}
    assert len(client.get_metric_history(logged.mlflow_run_id, "holdout_roc_auc")) == 1
    history = client.get_metric_history(logged.mlflow_run_id, "round/train-logloss")
    assert (history[0].step, history[-1].step, len(history) <= 52) == (1, 300, True)
    dataset = run.inputs.dataset_inputs[0].dataset
    source = json.loads(dataset.source)
    assert (dataset.name, dataset.source_type) == ("bank.transactions", "iceberg")
    assert (source["to_snapshot_id"], source["feature_snapshot_id"]) == (SNAPSHOT, "9007199254740993")
    assert json.loads(dataset.profile)["train_rows"] == 160

    mlflow.set_tracking_uri(mlflow_settings.tracking_uri)
    booster = mlflow.xgboost.load_model(logged.model_uri)
    model = mlflow.pyfunc.load_model(logged.model_uri)
    matrix = encode(made.example, made.encoding)
    data = xgb.DMatrix(
        matrix,
        feature_names=made.encoding.names,
        feature_types=made.encoding.xgboost_types,
        enable_categorical=True,
    )
    np.testing.assert_array_equal(booster.predict(data), model.predict(model.input_example))
    assert model.metadata.signature.inputs.input_names() == ["age", "city"]
