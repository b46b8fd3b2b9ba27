"""Bodies of train_model, evaluate_model and register_model on a real Iceberg feature table and MLflow; no JVM."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.catalog import open_catalog
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.mlflow.registry import MlflowModelRegistry
from lakeloop.adapters.mlflow.tracker import MlflowRunTracker
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.rollout import Registration
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Evaluation, Verdict
from lakeloop.runtime.step import Step
from lakeloop.settings import Settings

SOURCE, FEATURES = "bank.loans", "bank.loans__loans_features"
ROWS = 2_000


def use_case(**changes: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "loans",
            "table": {"name": SOURCE, "key": ["id"], "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": "late"},
            "features": ["income", {"name": "ratio", "expression": "debt / income"}],
            "train": {"rounds": 30, "params": {"max_depth": 3}},
            "gate": {"min_rows": 100, "bootstrap_samples": 200},
            **changes,
        }
    )


class Bank:
    """A source table and a feature table, a range at a time, and the steps over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home")
        self.catalog = open_catalog(self.settings)
        self.catalog.create_namespace("bank")
        self.ranges = 0

    def land(self, signal: float, ratio: str = "debt / income") -> TrainingSet:
        """Rows whose label follows debt / income as strongly as `signal`; `ratio` is how the feature is computed."""
        self.ranges += 1
        rng = np.random.default_rng(self.ranges)
        income, debt = rng.uniform(1, 2, ROWS), rng.uniform(0, 2, ROWS)
        late = rng.random(ROWS) < 1 / (1 + np.exp(-signal * (debt / income - 0.7)))
        ids = np.arange(ROWS) + self.ranges * ROWS
        keys = {"id": ids, "at": pa.array(ids * 1_000_000, pa.timestamp("us"))}
        before = self.snapshot(SOURCE)
        self.append(SOURCE, pa.table({**keys, "income": income, "debt": debt, "late": late}))
        feature = {"debt / income": debt / income, "debt - income": debt - income}[ratio]
        columns = {"_label": late.astype(float), "income": income, "ratio": feature}
        range_id = f"r{self.ranges}"
        self.append(FEATURES, pa.table({**keys, **columns, "_range_id": [range_id] * ROWS}))
        source, features = (IcebergLake(self.settings).table_state(t) for t in (SOURCE, FEATURES))
        assert source is not None
        assert features is not None
        return TrainingSet(
            use_case="loans",
            range=SnapshotRange(
                table=SOURCE,
                table_uuid=source.table_uuid,
                from_snapshot_id=before,
                to_snapshot_id=str(source.current_snapshot_id),
            ),
            snapshots=(str(source.current_snapshot_id),),
            schema_id=0,
            feature_hash="h",
            feature_table=FEATURES,
            feature_table_uuid=features.table_uuid,
            feature_snapshot_id=str(features.current_snapshot_id),
            range_ids=(range_id,),
            newest_range_id=range_id,
            rows=ROWS,
            newest_rows=ROWS,
            watermark_columns=((1, "id", "long"),),
        )

    def snapshot(self, name: str) -> str | None:
        state = IcebergLake(self.settings).table_state(name)
        return state.current_snapshot_id if state else None

    def append(self, name: str, rows: pa.Table) -> None:
        if not self.catalog.table_exists(name):
            self.catalog.create_table(name, rows.schema)
        self.catalog.load_table(name).append(rows)

    def step(self, name: str, case: UseCase, **arguments: Path) -> None:
        outputs = {p.stem: p for option, p in arguments.items() if option.endswith("_path")}
        artifacts = {
            a: {"artifacts": [{"name": a, "uri": p.as_uri(), "metadata": {}}]} for a, p in outputs.items()
        }
        executor = {"outputs": {"outputFile": str(self.folder / "executor.json"), "artifacts": artifacts}}
        texts = {option: str(path) for option, path in arguments.items()}
        texts["executor_input"] = json.dumps(executor)
        body = importlib.import_module(f"components.{name}.__main__").body
        body(Step(name, "run-1", case, self.settings, texts))

    def round(self, training_set: TrainingSet, case: UseCase) -> tuple[TrainedModel, Verdict, Evaluation]:
        place = {n: self.folder / f"{n}.json" for n in ("training_set", "training", "verdict", "evaluation")}
        place["training_set"].write_text(training_set.model_dump_json())
        self.step("train_model", case, training_set=place["training_set"], training_path=place["training"])
        self.step(
            "evaluate_model",
            case,
            training=place["training"],
            decision_path=self.folder / "decision.json",
            verdict_path=place["verdict"],
            evaluation_path=place["evaluation"],
        )
        trained = TrainedModel.model_validate_json(place["training"].read_text())
        verdict = Verdict.model_validate_json(place["verdict"].read_text())
        assert (self.folder / "decision.json").read_text() == verdict.decision
        return trained, verdict, Evaluation.model_validate_json(place["evaluation"].read_text())

    def register(self, case: UseCase) -> Registration:
        self.step(
            "register_model",
            case,
            training=self.folder / "training.json",
            verdict=self.folder / "verdict.json",
            registration_path=self.folder / "registration.json",
        )
        return Registration.model_validate_json((self.folder / "registration.json").read_text())


def test_three_batches_through_training_gate_and_registry(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    registry = MlflowModelRegistry(bank.settings)

    first = bank.land(signal=1.0)
    trained, verdict, drawn = bank.round(first, use_case())
    assert (verdict.decision, verdict.bootstrap, verdict.rows) == ("promote", True, 400)
    assert max(drawn.shap_importance, key=lambda name: drawn.shap_importance[name]) == "ratio"
    registered = bank.register(use_case())
    assert (registered.version, registered.previous_champion) == ("1", None)
    again = bank.register(use_case())
    assert again == registered
    tag = registered.pins[FEATURES]
    refs = {r.name: r.snapshot_id for r in IcebergLake(bank.settings).table_state(FEATURES).refs}  # type: ignore[union-attr]
    assert refs[tag] == first.feature_snapshot_id
    registry.promote("loans", "1", None)

    repeated, verdict, _ = bank.round(first, use_case())
    assert repeated == trained
    assert "is champion v1 already" in verdict.reasons[0]

    # The feature is redefined: the champion is scored by its own expression, from raw rows.
    changed = use_case(
        features=["income", {"name": "ratio", "expression": "debt - income"}], train={"rounds": 1}
    )
    trained, verdict, drawn = bank.round(bank.land(signal=4.0, ratio="debt - income"), changed)
    assert verdict.champion is not None
    assert verdict.champion.metrics["roc_auc"].value > 0.7
    assert set(drawn.roc) == {"challenger", "champion v1"}
    assert verdict.champion_version == "1"

    # Rows without any signal: rejected, and the range is consumed.
    trained, verdict, _ = bank.round(bank.land(signal=0.0), use_case())
    assert verdict.decision == "reject"
    event = IcebergLedger(bank.settings).events("loans")[-1]
    assert (event.kind, event.run_key) == ("rejected", trained.lineage.run_key)
    assert event.range == trained.lineage.training_set.range
    assert event.columns == ((1, "id", "long"),)
    run = MlflowRunTracker(bank.settings)._client.get_run(trained.mlflow_run_id)
    assert run.data.tags["lakeloop.verdict"] == "reject"


def test_a_training_that_does_not_fit_is_refused_before_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Bank(tmp_path)
    training_set = bank.land(signal=1.0)
    monkeypatch.setattr("components.train_model.__main__.available_bytes", lambda: 1000)
    with pytest.raises(UserError, match=r"2000 rows of 2 features .* GiB are free.*train\.engine: spark"):
        bank.round(training_set, use_case())
    assert not (tmp_path / "training.json").exists()
    monkeypatch.undo()
    assert bank.round(training_set, use_case())[1].decision == "promote"


def test_a_range_too_large_to_hold_is_judged_on_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Bank(tmp_path)
    training_set = bank.land(signal=1.0)
    _, whole, _ = bank.round(training_set, use_case())
    monkeypatch.setattr("lakeloop.training.holdout.LARGE_ROWS", 100)
    _, streamed, _ = bank.round(training_set, use_case())
    timing = {"scoring_seconds"}
    assert streamed.model_dump(exclude=timing) == whole.model_dump(exclude=timing)


def test_snapshots_that_expire_before_the_registration_stop_it(tmp_path: Path) -> None:
    """Nothing is promoted on what cannot be made again; the next run reads what is there."""
    bank = Bank(tmp_path)
    first = bank.land(signal=1.0)
    bank.round(first, use_case())
    later = bank.land(signal=1.0)
    table = bank.catalog.load_table(SOURCE)
    table.maintenance.expire_snapshots().by_ids([int(first.range.to_snapshot_id)]).commit()
    with pytest.raises(LakeloopError, match=f"no snapshot {first.range.to_snapshot_id}"):
        bank.register(use_case())
    assert MlflowModelRegistry(bank.settings).champion("loans") is None
    assert not (tmp_path / "registration.json").exists()
    bank.round(later, use_case())
    assert bank.register(use_case()).pins[SOURCE]
