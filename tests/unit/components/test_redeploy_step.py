"""The whole step over adapters in memory; rows are scored by the predictor's own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.redeploy_endpoint.__main__ import body
from lakeloop import bootstrap
from lakeloop.adapters.memory.journal import MemoryJournal
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.claiming import Claimant
from lakeloop.domain.claims import current_claim
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.ledger import watermark
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.training import TrainedModel
from lakeloop.rollout.rolling_out import RolloutFailedError
from lakeloop.runtime.step import Step
from lakeloop.settings import Settings
from tests.fakes.world import USE_CASE, World


class Redeploying(World):
    """The step's surroundings."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.journal = MemoryJournal()
        monkeypatch.setattr(bootstrap, "lake", lambda _: self.lake)
        monkeypatch.setattr(bootstrap, "ledger", lambda _: self.ledger)
        monkeypatch.setattr(bootstrap, "journal", lambda _: self.journal)
        monkeypatch.setattr(bootstrap, "model_registry", lambda _: self.registry)
        monkeypatch.setattr(bootstrap, "deployer", lambda *_: self.deployer)

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


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Redeploying:
    return Redeploying(tmp_path, monkeypatch)


def test_the_newest_rows_prove_it_and_the_range_is_consumed_once(world: Redeploying) -> None:
    trained, registration = world.train(seed=1)
    rollout = world.run(trained, registration)
    assert (rollout.outcome, rollout.version, rollout.rows_proved) == ("live", "1", 10)
    newest = {**world.source.select(["amount", "age", "kind"]).to_pylist()[-1]}
    assert rollout.sample_request == {"rows": [newest]}
    assert rollout.sample_response["snapshot_id"] == world.snapshot
    assert world.registry.champion("fraud") == "1"
    assert watermark(world.ledger.events("fraud")).snapshot_id == world.snapshot
    assert world.journal.documents("run")["rollout"]["outcome"] == "live"
    assert world.run(trained, registration).outcome == "already_live"
    assert world.outcomes() == ["promoted"]


def test_a_step_that_died_before_it_was_recorded_is_completed(
    world: Redeploying,
) -> None:
    trained, registration = world.train(seed=1)
    world.run(trained, registration)
    world.ledger = MemoryLedger()
    assert world.run(trained, registration).outcome == "already_live"
    assert world.outcomes() == ["promoted"]


def test_features_that_mean_something_else_where_they_are_served_never_get_traffic(
    world: Redeploying,
) -> None:
    world.run(*world.train(seed=1))
    trained, registration = world.train(seed=2, factor=0.25)
    with pytest.raises(RolloutFailedError, match="served and offline scores differ"):
        world.run(trained, registration, "second")
    assert world.deployer.live("fraud").version == "1"
    assert world.registry.champion("fraud") == "1"
    assert world.outcomes() == ["promoted", "rollout_failed"]
    failed = world.ledger.events("fraud")[-1]
    assert (failed.model_version, failed.pipeline_run_id) == ("2", "second")
    assert watermark(world.ledger.events("fraud")).snapshot_id == world.snapshot
    told = world.journal.documents("second")["rollout"]
    assert [(s["name"], s["passed"]) for s in told["steps"]] == [("prove", False), ("roll_back", True)]


def test_a_version_judged_against_a_champion_that_is_gone_is_not_rolled_out(world: Redeploying) -> None:
    late = world.train(seed=1)
    world.run(*world.train(seed=2))
    with pytest.raises(ConflictError, match="champion is version 2 now"):
        world.run(*late)
    assert world.deployer.live("fraud").version == "2"


def other(world: World, **options: object) -> Claimant:
    """Another run, which takes over whoever holds the use case."""
    return Claimant(world.ledger, "fraud", "other", "bob@desk", lease_seconds=60, **options)  # type: ignore[arg-type]


def test_while_another_run_holds_the_use_case_nothing_is_started(world: Redeploying) -> None:
    world.run(*world.train(seed=1))
    other(world).claim(None, "rolling back")
    with pytest.raises(ConflictError, match=r"other \(bob@desk\) changes what serves since"):
        world.run(*world.train(seed=2), "late")
    assert world.deployer.live("fraud").version == "1"
    assert world.outcomes() == ["promoted"]


def test_who_is_taken_over_on_the_way_goes_back_and_is_told(
    world: Redeploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(*world.train(seed=1))
    shift = world.deployer.shift

    def meanwhile(endpoint: str, handle: str) -> str:
        other(world, yields=True).claim(None, "rolling back")
        return shift(endpoint, handle)

    monkeypatch.setattr(world.deployer, "shift", meanwhile)
    with pytest.raises(RolloutFailedError, match=r"other \(bob@desk\)") as failed:
        world.run(*world.train(seed=2), "slow")
    assert failed.value.exit_code == ConflictError.exit_code
    assert world.deployer.live("fraud").version == "1"
    assert world.registry.champion("fraud") == "1"
    assert world.outcomes() == ["promoted", "rollout_failed"]
    assert current_claim(world.ledger.events("fraud")).owner == "other"  # type: ignore[union-attr]


def test_a_promotion_frees_the_use_case(world: Redeploying) -> None:
    world.run(*world.train(seed=1))
    assert current_claim(world.ledger.events("fraud")) is None
