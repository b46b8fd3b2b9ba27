"""The contract of lakeloop.ports.deployer, over every adapter; the local one with real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.cai.blue_green import BlueGreenDeployer
from lakeloop.adapters.kserve.deployer import KServeDeployer
from lakeloop.adapters.local.deployer import LocalDeployer
from lakeloop.adapters.memory.deployer import MemoryDeployer
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Candidate
from lakeloop.domain.workbench import Canary
from lakeloop.ports.deployer import Deployer
from lakeloop.serving.model import load
from lakeloop.serving.rows import parse_request
from lakeloop.settings import Settings
from tests.e2e.endpoint_place import endpoint_place
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import SPEC, FolderServingModels, api_of, deployer_of, emulated
from tests.fakes.models import ROWS, SNAPSHOT, candidate, model_folder

ENDPOINT = "card-fraud"


def offline(model: Candidate, rows: Sequence[dict[str, Any]]) -> list[float]:
    served = load(Path(model.model_folder))
    return served.scores(parse_request(json.dumps({"rows": rows}).encode(), served.encoding.source_columns))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, Candidate]:
    folder = tmp_path_factory.mktemp("models")
    first = model_folder(folder / "one", seed=1, version="1")
    return first, model_folder(folder / "two", seed=2, version="2", expression="ln(exp(amount))")


@pytest.fixture(
    params=[
        "memory",
        "local",
        "cai-registry",
        "cai-project_files",
        "cai-blue_green",
        pytest.param("kserve", marks=pytest.mark.e2e),
        pytest.param("kserve-transformer", marks=pytest.mark.e2e),
    ]
)
def deployer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployer]:
    if request.param == "memory":
        yield MemoryDeployer(offline)
        return
    if request.param.startswith("kserve"):
        both = request.param == "kserve-transformer"
        with endpoint_place(tmp_path) as place:
            yield KServeDeployer(place.settings, ModelPods(cpu="25m"), tell=print, transformer=both)
        return
    if request.param.startswith("cai-"):
        with emulated(tmp_path) as emulator:
            yield (workbench := workbench_deployer(emulator, request.param.removeprefix("cai-")))
            assert emulator.refused == []
            workbench.stop(ENDPOINT)
        return
    local = LocalDeployer(Settings(home=tmp_path))
    yield local
    local.stop(ENDPOINT)


def workbench_deployer(emulator: Emulator, kind: str) -> Deployer:
    if kind != "blue_green":
        return deployer_of(emulator, SPEC.model_copy(update={"model_from": kind}))
    spec = SPEC.model_copy(update={"canary": Canary(weights=(50, 100), step_seconds=0)})
    settings = Settings(home=emulator.workbench.folder / "home")
    models = FolderServingModels(emulator.workbench.folder / "experiments")
    return BlueGreenDeployer(api_of(emulator), spec, models, settings)


def roll_out(deployer: Deployer, model: Candidate) -> str:
    handle = deployer.start(ENDPOINT, model)
    deployer.shift(ENDPOINT, handle)
    deployer.finish(ENDPOINT, handle)
    return handle


def test_a_candidate_answers_without_traffic_then_with_all_of_it(
    deployer: Deployer, models: tuple[Candidate, Candidate]
) -> None:
    first, second = models
    assert deployer.live(ENDPOINT) is None
    with pytest.raises(LakeloopError, match="nothing runs"):
        deployer.ask(ENDPOINT, ROWS)
    handle = deployer.start(ENDPOINT, first)
    assert deployer.live(ENDPOINT) is None
    assert deployer.predict(ENDPOINT, handle, ROWS) == pytest.approx(offline(first, ROWS), abs=1e-9)
    assert not deployer.serves(ENDPOINT, handle)
    url = deployer.shift(ENDPOINT, handle)
    assert deployer.serves(ENDPOINT, handle)
    deployer.finish(ENDPOINT, handle)
    assert deployer.start(ENDPOINT, first) == handle
    answer = deployer.ask(ENDPOINT, ROWS)
    assert (answer["model_version"], answer["snapshot_id"]) == ("1", SNAPSHOT)
    assert answer["scores"] == pytest.approx(offline(first, ROWS), abs=1e-9)
    assert len(set(answer["prediction_ids"])) == len(ROWS)

    newer = deployer.start(ENDPOINT, second)
    assert deployer.live(ENDPOINT).version == "1"
    assert deployer.predict(ENDPOINT, newer, ROWS) == pytest.approx(offline(second, ROWS), abs=1e-9)
    assert deployer.shift(ENDPOINT, newer) == url
    assert deployer.live(ENDPOINT).version == "2"
    deployer.roll_back(ENDPOINT, newer)
    assert deployer.live(ENDPOINT).version == "1"
    with pytest.raises(LakeloopError, match="does not run"):
        deployer.predict(ENDPOINT, newer, ROWS)
    deployer.roll_back(ENDPOINT, newer)
    assert deployer.live(ENDPOINT).version == "1"


def test_the_way_back_stays_open_after_a_rollout_and_stop_ends_everything(
    deployer: Deployer, models: tuple[Candidate, Candidate]
) -> None:
    roll_out(deployer, models[0])
    handle = roll_out(deployer, models[1])
    assert deployer.live(ENDPOINT).version == "2"
    deployer.roll_back(ENDPOINT, handle)
    assert deployer.ask(ENDPOINT, ROWS)["model_version"] == "1"
    assert deployer.stop(ENDPOINT)
    assert deployer.live(ENDPOINT) is None
    assert not deployer.stop(ENDPOINT)


def test_going_back_from_the_first_version_leaves_nothing_live(
    deployer: Deployer, models: tuple[Candidate, Candidate]
) -> None:
    handle = deployer.start(ENDPOINT, models[0])
    deployer.shift(ENDPOINT, handle)
    deployer.roll_back(ENDPOINT, handle)
    assert deployer.live(ENDPOINT) is None
    with pytest.raises(LakeloopError):
        deployer.ask(ENDPOINT, ROWS)


def test_only_the_live_handle_can_be_finished_and_only_a_running_one_shifted(
    deployer: Deployer, models: tuple[Candidate, Candidate]
) -> None:
    with pytest.raises(LakeloopError, match="does not run"):
        deployer.shift(ENDPOINT, "unknown")
    with pytest.raises(LakeloopError, match="another version"):
        deployer.finish(ENDPOINT, "unknown")
    assert deployer.live(ENDPOINT) is None


def test_changed_model_bytes_are_refused(deployer: Deployer, tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model")
    registered = candidate(tmp_path / "model", digest=model.identity.model_digest)
    booster = tmp_path / "model" / "booster.ubj"
    booster.write_bytes(booster.read_bytes() + b" ")
    with pytest.raises(LakeloopError, match="bytes"):
        deployer.start(ENDPOINT, registered)
    assert deployer.live(ENDPOINT) is None
