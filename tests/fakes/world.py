"""A use case with a table, feature tables, models and an endpoint: what a rollout reaches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakeloop.adapters.memory.deployer import MemoryDeployer
from lakeloop.adapters.memory.lake import MemoryLake
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.adapters.memory.models import MemoryModels
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.domain.rollout import Candidate, Registration
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Verdict
from lakeloop.ports.deployer import Deployer
from lakeloop.ports.ledger import Ledger
from lakeloop.ports.models import ModelRegistry, RunTracker
from lakeloop.rollout.redeploy import Places
from lakeloop.serving.model import ServedModel, load
from lakeloop.serving.rows import parse_request
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
    """In memory unless given; rows are scored by the predictor's own code."""

    def __init__(self, folder: Path) -> None:
        memory = MemoryModels()
        self.folder, self.lake = folder, MemoryLake()
        self.ledger: Ledger = MemoryLedger()
        self.tracker: RunTracker = memory
        self.registry: ModelRegistry = memory
        self.deployer: Deployer = MemoryDeployer(self._scores)
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

    @property
    def places(self) -> Places:
        """As a rollout takes them."""
        return Places(self.lake, self.registry, self.deployer)

    def outcomes(self) -> list[str]:
        """The ledger's events, claims left out."""
        kinds = [event.kind for event in self.ledger.events(USE_CASE.name)]
        return [kind for kind in kinds if kind != "claimed"]

    def _scores(self, model: Candidate, rows: Sequence[dict[str, Any]]) -> list[float]:
        key = model.identity.model_digest
        if key not in self._loaded:
            self._loaded[key] = load(Path(model.model_folder))
        served = self._loaded[key]
        return served.scores(
            parse_request(json.dumps({"rows": rows}).encode(), served.encoding.source_columns)
        )

    def source_grows(self) -> None:
        """One more snapshot; its rows are the earlier ones under new keys."""
        more = self.source.set_column(0, "id", pa.array([f"{self.snapshot}-{i}" for i in range(40)]))
        self.source, self.snapshot = more, self.lake.append(TABLE, more)

    def train(self, seed: int, factor: float = 2.0) -> tuple[TrainedModel, Registration]:
        """A registered model whose feature rows hold `factor` times the amount; 2 is what is declared."""
        columns = {c: self.source[c] for c in ("id", "at", "kind")}
        amounts = [factor * value for value in self.source["amount"].to_pylist()]
        rows = {**columns, "age": self.source["age"].cast(pa.float64()), "amount": amounts}
        features = pa.table({**rows, "_range_id": [RANGE_ID] * len(amounts)})
        table = f"{FEATURES}_{seed}"
        trained = self._trained(seed, table, self.lake.append(table, features))
        return trained, self.registry.register(USE_CASE.name, trained, VERDICT)

    def _trained(self, seed: int, table: str, snapshot: str) -> TrainedModel:
        model = model_folder(self.folder / str(seed), seed=seed, expression="amount * 2")
        return self.tracker.log_training(
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
            encoding_of("amount * 2"),
            pa.table({"amount": [0.5], "age": [20.0], "kind": ["a"]}),
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
