"""A rollback with the real parts that need no JVM: MLflow's registry, the Iceberg ledger, server processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.local.deployer import LocalDeployer
from lakeloop.adapters.mlflow.registry import MlflowModelRegistry
from lakeloop.adapters.mlflow.tracker import MlflowRunTracker
from lakeloop.claiming import Claimant, now_ms
from lakeloop.domain.ledger import watermark
from lakeloop.domain.served import what_served
from lakeloop.recording import record
from lakeloop.rollout.by_hand import Change, change_by_hand, rollback_target
from lakeloop.rollout.events import trained_event
from lakeloop.rollout.redeploy import redeploy
from lakeloop.settings import Settings
from tests.fakes.world import USE_CASE, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(home=tmp_path / "home")
    made = World(tmp_path)
    made.ledger, made.deployer = IcebergLedger(settings), LocalDeployer(settings)
    made.tracker, made.registry = MlflowRunTracker(settings), MlflowModelRegistry(settings)
    yield made
    made.deployer.stop(USE_CASE.endpoint)


def promote(world: World, seed: int) -> int:
    """As the pipeline does; when."""
    trained, registration = world.train(seed)
    rollout = redeploy(world.places, USE_CASE, trained, registration, lambda: None, lambda _: None)
    at_ms = now_ms()
    event = trained_event(
        "promoted", trained, rollout, reason="", owner=f"run-{seed}", by="ana@laptop", at_ms=at_ms
    )
    record(world.ledger, event)
    return at_ms


def test_an_earlier_version_answers_again_with_its_own_scores(world: World) -> None:
    promote(world, 1)
    row = [{"amount": 0.4, "age": 31, "kind": "b"}]
    first = world.deployer.ask(USE_CASE.endpoint, row)
    second_at_ms = promote(world, 2)
    mark = watermark(world.ledger.events("fraud"))
    assert world.deployer.ask(USE_CASE.endpoint, row)["scores"] != first["scores"]

    mine = Claimant(world.ledger, "fraud", "rollback-1", "bob@desk", lease_seconds=600)
    change = Change("rolled_back", lambda events: rollback_target(events, None), "scores of kind b are off")
    changed = change_by_hand(world.places, mine, USE_CASE, change, lambda _: None)

    assert (changed.version, changed.previous_version, changed.rollout.rows_proved) == ("1", "2", 10)
    answer = world.deployer.ask(USE_CASE.endpoint, row)
    assert (answer["model_version"], answer["scores"]) == ("1", first["scores"])
    assert world.registry.champion("fraud") == "1"
    events = world.ledger.events("fraud")
    assert watermark(events) == mark
    then, now = what_served(events, second_at_ms), what_served(events, now_ms())
    assert then is not None
    assert now is not None
    assert (then.version, then.followed_reason) == ("2", "rolled_back by bob@desk: scores of kind b are off")
    assert (now.version, now.by, now.reason) == ("1", "bob@desk", "scores of kind b are off")
    assert now.range == world.train(1)[0].lineage.training_set.range
