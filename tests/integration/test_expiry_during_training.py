"""Others expire whatever they can, in both tables, after each step of a training: it ends as if nobody had. No JVM."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeloop import bootstrap
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.claiming import Claimant
from lakeloop.domain.errors import ConflictError, UserError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.pins import training_prefix
from lakeloop.domain.plan import Plan
from lakeloop.domain.rollout import Registration
from lakeloop.domain.use_case import UseCase
from lakeloop.pinning import pin_plan
from lakeloop.planning import plan_use_case
from lakeloop.runtime.step import Step
from lakeloop.settings import Settings

SOURCE, FEATURES = "plant.pumps", "plant.pumps__pumps_features"
ROWS = 300
OUTPUTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "build_training_set": ((), ("action_path", "plan_path", "training_set_path")),
    "train_model": (("training_set",), ("training_path",)),
    "evaluate_model": (("training",), ("decision_path", "verdict_path", "evaluation_path")),
    "register_model": (("training", "verdict"), ("registration_path",)),
}


class Plant:
    """A source table that somebody writes and expires, and the steps over it."""

    def __init__(self, folder: Path, floor: float = 0.0) -> None:
        self.folder, self.settings = folder, Settings(home=folder / "home", engine="local")
        self.lake, self.batches = IcebergLake(self.settings), 0
        self.lake.catalog.create_namespace("plant")
        self.use_case = UseCase.model_validate(
            {
                "name": "pumps",
                "table": {"name": SOURCE, "key": ["id"], "event_time": "at"},
                "source": {"kind": "table"},
                "label": {"column": "failed"},
                "features": ["amount", {"name": "double", "expression": "amount * 2"}],
                "train": {"rounds": 10, "threads": 1},
                "gate": {
                    "min_rows": 10,
                    "min_positives": 2,
                    "max_loss": 1.0,
                    "floor": floor,
                    "bootstrap_samples": 100,
                },
            }
        )

    def gate(self, floor: float) -> None:
        gate = self.use_case.gate.model_copy(update={"floor": floor})
        self.use_case = self.use_case.model_copy(update={"gate": gate})

    def append(self) -> None:
        numbers = range(self.batches * ROWS, (self.batches + 1) * ROWS)
        self.batches += 1
        start = datetime(2025, 1, 1, tzinfo=UTC)
        rows = pa.table(
            {
                "id": pa.array(numbers, pa.int64()),
                "at": pa.array([start + timedelta(minutes=i) for i in numbers], pa.timestamp("us", "UTC")),
                "amount": [(i * 37) % 101 + 50.0 * (i % 3 == 0) for i in numbers],
                "failed": pa.array([int(i % 3 == 0) for i in numbers], pa.int32()),
            }
        )
        self.lake.catalog.create_table_if_not_exists(SOURCE, rows.schema).append(rows)

    def expire(self) -> None:
        """All but what a ref points at, as a nightly job does it."""
        for name in (SOURCE, FEATURES):
            table = self.lake.find(name)
            if table is not None:
                table.maintenance.expire_snapshots().older_than(datetime(2999, 1, 1)).commit()  # noqa: DTZ001

    def step(self, name: str, run_id: str = "run-1") -> None:
        inputs, outputs = OUTPUTS[name]
        arguments = {i: str(self.folder / f"{i}.json") for i in inputs}
        arguments |= {o: str(self.folder / f"{o.removesuffix('_path')}.json") for o in outputs}
        artifacts = {
            o.removesuffix("_path"): {"artifacts": [{"name": o, "uri": Path(arguments[o]).as_uri(), "metadata": {}}]}
            for o in outputs
        }  # fmt: skip
        made = {"outputs": {"outputFile": str(self.folder / "executor.json"), "artifacts": artifacts}}
        body = importlib.import_module(f"components.{name}.__main__").body
        body(
            Step(
                name, run_id, self.use_case, self.settings, {**arguments, "executor_input": json.dumps(made)}
            )
        )

    def document(self, name: str, model: Any) -> Any:
        return model.model_validate_json((self.folder / f"{name}.json").read_bytes())

    def tags(self, name: str) -> list[str]:
        state = self.lake.table_state(name)
        return [r.name for r in state.refs if r.kind == "tag"] if state else []

    def plan(self) -> Plan:
        return plan_use_case(self.lake, bootstrap.ledger(self.settings), self.use_case)


def trained_once(folder: Path) -> Plant:
    plant = Plant(folder, floor=0.9999)  # rejected: consumes the range
    plant.append()
    for name in ("build_training_set", "train_model", "evaluate_model"):
        plant.step(name)
    return plant


def test_a_training_that_others_expire_under_is_registered_and_holds_no_more_than_its_version(
    tmp_path: Path,
) -> None:
    plant = trained_once(tmp_path)
    assert (plant.tags(SOURCE), plant.tags(FEATURES)) == ([], []), "a rejected training holds nothing"
    plant.gate(floor=0.0)
    for _ in range(3):
        plant.append()
    plant.step("build_training_set", "run-2")
    held = len(plant.tags(SOURCE)), len(plant.tags(FEATURES))
    assert held == (4, 1), "the start, three commits, and the feature rows"
    for name in ("train_model", "evaluate_model", "register_model"):
        plant.append()
        plant.expire()
        plant.step(name, "run-2")
    built = plant.document("training_set", TrainingSet)
    assert built.rows == 3 * ROWS
    pinned = plant.document("registration", Registration).pins
    assert set(pinned) == {SOURCE, FEATURES}
    assert plant.tags(SOURCE) == ["lakeloop_pumps_v1", "lakeloop_pumps_v1_from"]
    assert plant.tags(FEATURES) == ["lakeloop_pumps_v1"]
    plant.expire()
    for table, snapshot_id in (
        (SOURCE, built.range.to_snapshot_id),
        (FEATURES, built.feature_snapshot_id),
    ):
        assert sum(b.num_rows for b in plant.lake.read_batches(table, snapshot_id))


def test_rows_that_cannot_make_a_training_set_are_a_refusal_on_the_record(tmp_path: Path) -> None:
    plant = trained_once(tmp_path)
    plant.append()
    label = plant.use_case.label.model_copy(update={"positive": 77})
    plant.use_case = plant.use_case.model_copy(update={"label": label})
    with pytest.raises(UserError):
        plant.step("build_training_set", "run-2")
    assert plant.tags(SOURCE) == []
    last = bootstrap.ledger(plant.settings).events("pumps")[-1]
    assert (last.kind, last.pipeline_run_id) == ("refused", "run-2")
    assert "label" in last.reason


def test_what_is_pinned_by_a_plan_can_be_built_although_all_else_has_expired(tmp_path: Path) -> None:
    plant = trained_once(tmp_path)
    for _ in range(3):
        plant.append()
    plan, builder = plant.plan(), bootstrap.feature_builder(plant.settings)
    pin_plan(plant.lake, "pumps", "run-2", plan)
    plant.append()
    plant.expire()
    assert builder.build(plant.use_case, plan).rows == 3 * ROWS


def test_a_plan_whose_snapshots_are_gone_before_they_are_pinned_is_made_anew(tmp_path: Path) -> None:
    plant = trained_once(tmp_path)
    for _ in range(3):
        plant.append()
    plan = plant.plan()
    plant.expire()
    with pytest.raises(ConflictError, match="has expired since it was planned"):
        pin_plan(plant.lake, "pumps", "run-2", plan)
    assert plant.tags(SOURCE) == []


def test_the_next_training_lets_go_of_what_a_dead_one_held(tmp_path: Path) -> None:
    plant = trained_once(tmp_path)
    plant.append()
    plant.step("build_training_set", "run-2")
    died = plant.tags(SOURCE)
    assert all(tag.startswith(training_prefix("pumps", "run-2")) for tag in died)
    plant.append()
    with pytest.raises(ConflictError, match="run-2"):
        plant.step("build_training_set", "run-3")
    assert plant.tags(SOURCE) == died, "it may be alive: its lease has not run out"
    end(plant, "run-2")
    plant.step("build_training_set", "run-3")
    for table in (SOURCE, FEATURES):
        assert plant.tags(table)
        assert all(tag.startswith(training_prefix("pumps", "run-3")) for tag in plant.tags(table))


def end(plant: Plant, run_id: str) -> None:
    """As the exit handler of a failed run does it."""
    claimant = Claimant(bootstrap.ledger(plant.settings), "pumps", run_id, "test", lease_seconds=60)
    assert claimant.release("the run has ended: failed")
