"""The whole step over adapters in memory; rows are scored by the predictor's own code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.redeploy_endpoint.__main__ import body
from lakeloop import bootstrap
from lakeloop.adapters.memory.deployer import MemoryDeployer
from lakeloop.adapters.memory.journal import MemoryJournal
from lakeloop.adapters.memory.lake import MemoryLake
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.adapters.memory.models import MemoryModels
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.ledger import watermark
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.domain.rollout import Candidate, Registration, Rollout
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Verdict
from lakeloop.rollout.rolling_out import RolloutFailedError
from lakeloop.runtime.step import Step
from lakeloop.serving.model import ServedModel, load
from lakeloop.serving.rows import parse_request
from lakeloop.settings import Settings
from tests.fakes.models import encoding_of, model_folder

TABLE, FEATURES, RANGE_ID = "bank.transactions", "bank.features", "range-1"
START = datetime.fromisoformat("2026-01-01T00:00:00")
USE_CASE = UseCase.model_validate(
    {
        "name": "fraud",
        "table": {"name": TABLE, "key": ["id"], "event_time": "at"},
        "source": {"kind": "table"},
        "label": {"column": "fraud"},
        "features": [{"name": "amount", "expression": "amount * 2"}, "age", "kind"],
        "deployment": {"prove_rows": 10},
    }
)
VERDICT = Verdict(
    decision="promote",
    bootstrap=True,
    metric="roc_auc",
    reasons=(),
    checks=(),
    rows=0,
    positives=0,
    challenger=None,
)


class World:
    """Everything that the step reaches, in memory."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.lake, self.ledger, self.models = (
            folder,
            MemoryLake(),
            MemoryLedger(),
            MemoryModels(),
        )
        self.journal, self.deployer = MemoryJournal(), MemoryDeployer(self._scores)
        self._loaded: dict[str, ServedModel] = {}
        self.source = pa.table(
            {
                "id": [f"t{i}" for i in range(40)],
                "at": [START + timedelta(minutes=i) for i in range(40)],
                "amount": [i / 40 for i in range(40)],
                "age": pa.array([None if i % 7 == 0 else 20 + i for i in range(40)], pa.int32()),
                "kind": ["abcx"[i % 4] for i in range(40)],
            }
        )
        self.snapshot = self.lake.append(TABLE, self.source)
        monkeypatch.setattr(bootstrap, "lake", lambda _: self.lake)
        monkeypatch.setattr(bootstrap, "ledger", lambda _: self.ledger)
        monkeypatch.setattr(bootstrap, "journal", lambda _: self.journal)
        monkeypatch.setattr(bootstrap, "model_registry", lambda _: self.models)
        monkeypatch.setattr(bootstrap, "deployer", lambda *_: self.deployer)

    def _scores(self, model: Candidate, rows: Sequence[dict[str, Any]]) -> list[float]:
        key = model.identity.model_digest
        if key not in self._loaded:
            self._loaded[key] = load(Path(model.model_folder))
        served = self._loaded[key]
        return served.scores(
            parse_request(json.dumps({"rows": rows}).encode(), served.encoding.source_columns)
        )

    def train(self, seed: int, factor: float = 2.0) -> tuple[TrainedModel, Registration]:
        """A registered model whose feature rows hold `factor` times the amount; 2 is what is declared."""
        columns = {c: self.source[c] for c in ("id", "at", "kind")}
        amounts = [factor * value for value in self.source["amount"].to_pylist()]
        rows = {**columns, "age": self.source["age"].cast(pa.float64()), "amount": amounts}
        features = pa.table({**rows, "_range_id": [RANGE_ID] * len(amounts)})
        table = f"{FEATURES}_{seed}"
        trained = self._trained(seed, table, self.lake.append(table, features))
        return trained, self.models.register(USE_CASE.name, trained, VERDICT)

    def _trained(self, seed: int, table: str, snapshot: str) -> TrainedModel:
        model = model_folder(self.folder / str(seed), seed=seed, expression="amount * 2")
        return self.models.log_training(
            TrainedModel(
                lineage=self._lineage(seed, table, snapshot),
                mlflow_run_id="",
                model_uri="",
                model_digest=model.identity.model_digest,
                booster_sha256="",
                rounds=5,
                train_rows=30,
                holdout_rows=10,
                holdout_start="",
            ),
            Path(model.model_folder),
            encoding_of(),
            pa.table({}),
            {},
        )

    def _lineage(self, seed: int, table: str, snapshot: str) -> Lineage:
        range_ = SnapshotRange(
            table=TABLE, table_uuid="uuid", from_snapshot_id=None, to_snapshot_id=self.snapshot
        )
        training_set = TrainingSet(
            use_case=USE_CASE.name,
            range=range_,
            snapshots=(self.snapshot,),
            schema_id=0,
            feature_hash="hash",
            feature_table=table,
            feature_table_uuid="feature-uuid",
            feature_snapshot_id=snapshot,
            range_ids=(RANGE_ID,),
            newest_range_id=RANGE_ID,
            rows=40,
            newest_rows=40,
        )
        return Lineage(
            run_key=f"run-key-{seed}",
            use_case=USE_CASE.name,
            use_case_digest=USE_CASE.digest(),
            training_set=training_set,
            code=CodeIdentity(),
            seed=seed,
        )

    def run(self, trained: TrainedModel, registration: Registration, run_id: str = "run") -> Rollout:
        """The step, as the runner starts it; the rollout that it wrote."""
        paths = {
            n: str(self.folder / n) for n in ("training", "registration", "rollout_path", "endpoint_url_path")
        }
        Path(paths["training"]).write_text(trained.model_dump_json(), encoding="utf-8")
        Path(paths["registration"]).write_text(registration.model_dump_json(), encoding="utf-8")
        outputs = {"outputFile": str(self.folder / "out.json"), "artifacts": {"rollout": {"artifacts": [{}]}}}
        arguments = {**paths, "executor_input": json.dumps({"outputs": outputs})}
        settings = Settings(home=self.folder)
        body(Step("redeploy_endpoint", run_id, USE_CASE, settings, arguments))
        return Rollout.model_validate_json(Path(paths["rollout_path"]).read_bytes())

    def outcomes(self) -> list[str]:
        """The ledger's events, claims left out."""
        kinds = [event.kind for event in self.ledger.events(USE_CASE.name)]
        return [kind for kind in kinds if kind != "claimed"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_the_newest_rows_prove_it_and_the_range_is_consumed_once(world: World) -> None:
    trained, registration = world.train(seed=1)
    rollout = world.run(trained, registration)
    assert (rollout.outcome, rollout.version, rollout.rows_proved) == ("live", "1", 10)
    newest = {**world.source.select(["amount", "age", "kind"]).to_pylist()[-1]}
    assert rollout.sample_request == {"rows": [newest]}
    assert rollout.sample_response["snapshot_id"] == world.snapshot
    assert world.models.champion("fraud") == "1"
    assert watermark(world.ledger.events("fraud")).snapshot_id == world.snapshot
    assert world.journal.documents("run")["rollout"]["outcome"] == "live"
    assert world.run(trained, registration).outcome == "already_live"
    assert world.outcomes() == ["promoted"]


def test_a_step_that_died_before_it_was_recorded_is_completed(
    world: World,
) -> None:
    trained, registration = world.train(seed=1)
    world.run(trained, registration)
    world.ledger = MemoryLedger()
    assert world.run(trained, registration).outcome == "already_live"
    assert world.outcomes() == ["promoted"]


def test_features_that_mean_something_else_where_they_are_served_never_get_traffic(world: World) -> None:
    world.run(*world.train(seed=1))
    trained, registration = world.train(seed=2, factor=0.25)
    with pytest.raises(RolloutFailedError, match="served and offline scores differ"):
        world.run(trained, registration, "second")
    assert world.deployer.live("fraud").version == "1"
    assert world.models.champion("fraud") == "1"
    assert world.outcomes() == ["promoted", "rollout_failed"]
    failed = world.ledger.events("fraud")[-1]
    assert (failed.model_version, failed.pipeline_run_id) == ("2", "second")
    assert watermark(world.ledger.events("fraud")).snapshot_id == world.snapshot
    told = world.journal.documents("second")["rollout"]
    assert [(s["name"], s["passed"]) for s in told["steps"]] == [("prove", False), ("roll_back", True)]


def test_a_version_judged_against_a_champion_that_is_gone_is_not_rolled_out(world: World) -> None:
    late = world.train(seed=1)
    world.run(*world.train(seed=2))
    with pytest.raises(ConflictError, match="champion is version 2 now"):
        world.run(*late)
    assert world.deployer.live("fraud").version == "2"
