"""A replay from the feature table, everything in memory: warm starts, changed artifacts, missing records."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakeloop.adapters.memory.lake import MemoryLake
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.adapters.memory.models import MemoryModels
from lakeloop.domain.errors import RefusedError, UserError
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.domain.model_files import BOOSTER_FILE, model_digest
from lakeloop.domain.replay import Replay
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.trained_booster import Champion
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.replaying import Places, replay_version
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.training.train import model_files, train
from tests.fakes.world import VERDICT

TYPES = {"id": "long", "at": "timestamp", "x": "double", "y": "double"}


def use_case(**train: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "loans",
            "table": {"name": "a.loans", "key": ["id"], "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": "y"},
            "features": ["x"],
            "train": {"rounds": 5, "threads": 1, **train},
        }
    )


class NeverAsked:
    """A replay from the feature table computes nothing anew."""

    def recompute(self, use_case: UseCase, training_set: TrainingSet) -> AbstractContextManager[Any]:
        raise AssertionError(use_case, training_set)

    def train(self, *_: Any) -> Any:
        raise AssertionError


class Bank:
    """Ranges in a feature table, versions in a registry."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake, self.ledger, self.models = (
            folder,
            MemoryLake(),
            MemoryLedger(),
            MemoryModels(),
        )
        self.versions = 0

    def train(self, case: UseCase, champion: Champion | None = None, **changes: Any) -> tuple[str, Champion]:
        self.versions += 1
        training_set = self._land(f"r{self.versions}")
        made = train(case, training_set, self._rows(training_set), raw_columns=TYPES, champion=champion)
        files = model_files(made)
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        lineage = Lineage(
            run_key=f"k{self.versions}",
            use_case="loans",
            use_case_digest=case.digest(),
            training_set=training_set,
            code=CodeIdentity(),
            seed=case.train.seed,
        )
        trained = TrainedModel(
            lineage=lineage,
            mlflow_run_id="",
            model_uri="",
            model_digest=model_digest(files),
            booster_sha256=hashlib.sha256(made.booster).hexdigest(),
            rounds=made.rounds,
            train_rows=made.train_rows,
            holdout_rows=made.holdout_rows,
            holdout_start=made.holdout_start,
            data=made.data,
            continued_version=made.continued_version,
            use_case=case.model_dump(mode="json"),
        ).model_copy(update=changes)
        logged = self.models.log_training(trained, self.folder, made.encoding, made.example, {})
        version = self.models.register("loans", logged, VERDICT).version
        return version, Champion(version, made.booster, made.encoding)

    def replay(self, version: str, current: UseCase) -> Replay:
        never = NeverAsked()
        places = Places(self.lake, self.ledger, self.models, never, never)
        return replay_version(places, current, version, "features", code=CodeIdentity())

    def _land(self, range_id: str) -> TrainingSet:
        rng = np.random.default_rng(self.versions)
        x = rng.random(100)
        rows = {"id": np.arange(100), "at": pa.array(np.arange(100) * 1_000_000, pa.timestamp("us")), "x": x}
        label = (rng.random(100) < x).astype(float)
        snapshot = self.lake.append("a.f", pa.table({**rows, "_label": label, "_range_id": [range_id] * 100}))
        state = self.lake.table_state("a.f")
        assert state is not None
        return TrainingSet(
            use_case="loans",
            range=SnapshotRange(
                table="a.loans", table_uuid="u", from_snapshot_id=None, to_snapshot_id=str(self.versions)
            ),
            snapshots=(),
            schema_id=0,
            feature_hash="h",
            feature_table="a.f",
            feature_table_uuid=state.table_uuid,
            feature_snapshot_id=snapshot,
            range_ids=(range_id,),
            newest_range_id=range_id,
            rows=100,
            newest_rows=100,
            watermark_columns=tuple((i, name, kind) for i, (name, kind) in enumerate(TYPES.items())),
        )

    def _rows(self, training_set: TrainingSet) -> Any:
        columns = ["at", "id", "_label", "x"]
        return self.lake.read_batches(
            "a.f", training_set.feature_snapshot_id, columns, training_set.range_ids
        )


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def test_the_use_case_is_the_one_of_the_training_whatever_the_file_says_today(bank: Bank) -> None:
    version, _ = bank.train(use_case(seed=7, params={"max_depth": 2, "subsample": 0.5}))
    found = bank.replay(version, use_case(rounds=99))
    assert found.outcome == "identical", found.differences
    assert found.max_score_difference == 0


def test_a_warm_start_goes_on_from_the_registered_parent(bank: Bank) -> None:
    warm = use_case(window={"policy": "warm_start"})
    _, parent = bank.train(warm)
    version, _ = bank.train(warm, parent)
    bank.train(warm)
    found = bank.replay(version, warm)
    assert found.outcome == "identical", found.differences
    assert any("version 1 was taken as it is registered" in note for note in found.notes)
    orphan, _ = bank.train(warm, parent, continued_version="77")
    with pytest.raises(RefusedError, match="continued version 77, which is gone"):
        bank.replay(orphan, warm)


def test_a_registered_model_with_other_bytes_is_named(bank: Bank) -> None:
    version, _ = bank.train(use_case())
    (files,) = bank.models.files.values()
    files[BOOSTER_FILE] += b" "
    found = bank.replay(version, use_case())
    assert [(d.kind, d.name) for d in found.differences] == [("record", "model files")]
    assert found.max_score_difference is None
    assert found.booster_sha256.now == found.booster_sha256.recorded, "the rebuilt one is what was trained"


def test_records_that_cannot_be_replayed_say_what_is_missing(bank: Bank) -> None:
    case = use_case()
    version, _ = bank.train(case, use_case={})
    assert bank.replay(version, case).outcome == "identical", "the file is still as it was"
    with pytest.raises(UserError, match="keeps no copy of its use case, and the use case has changed"):
        bank.replay(version, use_case(rounds=6))
    strange, _ = bank.train(case, use_case={**case.model_dump(mode="json"), "colour": "red"})
    with pytest.raises(UserError, match="does not validate any more: colour"):
        bank.replay(strange, case)
    with pytest.raises(UserError, match="no version 9"):
        bank.replay("9", case)
