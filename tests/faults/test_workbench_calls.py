"""Faults at every call of a redeploy to an emulated workbench: where it ends, what is doubled, what is said.

`make test` meets every call with every way of losing an answer and with some refusals, in both strategies;
`make test-workbench-faults` meets each call with each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.blue_green import BlueGreenDeployer
from lakeloop.adapters.cai.deployer import CaiDeployer
from lakeloop.adapters.cai.patience import Patience
from lakeloop.adapters.local.endpoint_folder import EndpointFolder
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Candidate, Rollout
from lakeloop.domain.workbench import Canary, WorkbenchDeployment
from lakeloop.rollout.proof import ProofRows
from lakeloop.rollout.rolling_out import RollingOut, RolloutFailedError
from lakeloop.serving.model import load
from lakeloop.serving.rows import parse_request
from lakeloop.serving.workbench.answering import Answering
from lakeloop.settings import Settings
from tests.emulators.cai.faults import Fault
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import SPEC, FolderServingModels, api_of, emulated
from tests.fakes.models import ROWS, candidate, model_folder

ENDPOINT = "card-fraud"
SPEED = 6000.0
HASTE = Patience(first=0.005, most=0.05, call=0.5, look=0.2, long_look=0.8)

CALLS = (
    "ListModels",
    "CreateModel",
    "ListModelBuilds",
    "CreateModelBuild",
    "GetModelBuild",
    "ListModelDeployments",
    "CreateModelDeployment",
    "GetModelDeployment",
    "StopModelDeployment",
    "DeleteModelBuild",
    "ListRegisteredModels",
    "CreateRegisteredModel",
    "GetRegisteredModel",
    "GetRegisteredModelVersion",
    "ListRuntimes",
    "Predict",
)
WRITES = tuple(call for call in CALLS if call.startswith(("Create", "Stop", "Delete")))
REFUSED = (400, 401, 403, 404, 409)
KINDS = {
    **{f"{status}": Fault("", status=status) for status in (*REFUSED, 429, 500)},
    "500 after effect": Fault("", status=500, effect=True),
    "time-out": Fault("", "timeout"),
    "time-out after effect": Fault("", "timeout", effect=True),
    "cut": Fault("", "cut"),
    "cut after effect": Fault("", "cut", effect=True),
    "malformed": Fault("", "malformed", effect=True),
}
Strategy = Literal["in_place", "blue_green"]


def few_kinds(number: int, call: str) -> tuple[str, ...]:
    """Of one call: a refusal, in turn another one, and each way of not answering that differs for it."""
    after = ("500 after effect", "time-out after effect", "cut after effect") if call in WRITES else ()
    without = ("time-out", "500")[number % 2]
    return (str(REFUSED[number % len(REFUSED)]), ("429", "cut")[number % 2], without, *after, "malformed")


def in_process(folder: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The proof's own process costs seconds of imports; here it is this one."""
    return Answering(folder).scored(rows)


def deployer_of(emulator: Emulator, told: list[str] | None = None, **spec: Any) -> CaiDeployer:
    api, changed, models = _parts(emulator, told, spec)
    return CaiDeployer(api, changed, models, in_process)


def blue_green_of(emulator: Emulator, told: list[str] | None = None) -> BlueGreenDeployer:
    api, changed, models = _parts(emulator, told, {"canary": Canary(weights=(50, 100), step_seconds=0)})
    return BlueGreenDeployer(api, changed, models, Settings(home=emulator.workbench.folder / "home"))


def _parts(
    emulator: Emulator, told: list[str] | None, spec: dict[str, Any]
) -> tuple[Api, WorkbenchDeployment, FolderServingModels]:
    models = FolderServingModels(emulator.workbench.folder / "experiments")
    limits = {"keep": 2, "build_timeout_seconds": 10, "deploy_timeout_seconds": 10}
    return api_of(emulator, told, HASTE), SPEC.model_copy(update={**limits, **spec}), models


class Place:
    """An emulated workbench with one endpoint, redeployed by one strategy, version after version."""

    def __init__(self, emulator: Emulator, strategy: Strategy, versions: Versions) -> None:
        self.emulator, self.strategy, self.versions = emulator, strategy, versions
        for _ in range(3):
            self.before = versions.next()
            roll_out(self.deployer(), self.before)

    def deployer(self) -> Any:
        """A new one, as a new process would make it."""
        return deployer_of(self.emulator) if self.strategy == "in_place" else blue_green_of(self.emulator)

    def lose_a_model(self) -> bool:
        """Remove the model that the next version goes to; whether nothing serves then."""
        taken = ""
        if self.strategy == "blue_green":
            folder = EndpointFolder(
                Settings(home=self.emulator.workbench.folder / "home").endpoints_folder, ENDPOINT
            )
            routes = folder.routes()
            live = routes.backend(routes.live)
            assert live is not None
            taken = live.url.rpartition("#")[2]
        for model in list(self.emulator.workbench.models.values()):
            if model["name"] != taken:
                self.emulator.workbench.delete_model(model["id"])
        return not taken


class Versions:
    """One trained model, as version after version: another version is another build."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._last = folder, 0
        model_folder(folder, seed=1)

    def next(self) -> Candidate:
        self._last += 1
        return candidate(self._folder, version=str(self._last))


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return Versions(tmp_path_factory.mktemp("models") / "one")


@pytest.fixture(scope="module", params=["in_place", "blue_green"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, versions: Versions
) -> Iterator[Place]:
    with emulated(tmp_path_factory.mktemp("workbench"), speed=SPEED) as found:
        found.hang_seconds = 0.6
        made = Place(found, request.param, versions)
        yield made
        made.deployer().stop(ENDPOINT)


@cache
def offline(folder: str, _digest: str) -> tuple[float, ...]:
    served = load(Path(folder))
    rows = parse_request(json.dumps({"rows": ROWS}).encode(), served.encoding.source_columns)
    return tuple(served.scores(rows))


def roll_out(deployer: Any, candidate: Candidate, told: list[str] | None = None) -> Rollout:
    proof = ProofRows(
        raw=tuple(ROWS), offline=offline(candidate.model_folder, candidate.identity.model_digest)
    )
    said = told if told is not None else []
    return RollingOut(deployer, ENDPOINT, candidate, proof, 1e-6, lambda: None, said.append).run()


def serving_version(emulator: Emulator) -> str | None:
    live = deployer_of(emulator).live(ENDPOINT)
    return live.version if live else None


def check_single(emulator: Emulator, models: int = 1) -> None:
    """No model, version, build or active deployment twice; nothing sent that the description lacks."""
    workbench = emulator.workbench
    names = [m["name"] for m in workbench.models.values() if m["name"].startswith(ENDPOINT)]
    assert len(names) == len(set(names)) == models
    notes = [v["notes"] for v in workbench.versions.values()]
    assert len(notes) == len(set(notes))
    comments = [b["comment"] for b in workbench.builds.values()]
    assert len(comments) == len(set(comments))
    active = [
        d
        for b in workbench.builds
        for d in workbench.deployments_of(b)
        if d["status"] in {"pending", "deploying", "deployed"}
    ]
    assert len(active) == 1
    assert emulator.refused == []


@pytest.mark.parametrize("call", CALLS)
def test_one_fault_ends_in_the_new_version_or_in_the_old_one_with_call_and_cause_named(
    place: Place, call: str
) -> None:
    number = CALLS.index(call) + (place.strategy == "blue_green")
    check_kinds(place, call, few_kinds(number, call))


@pytest.mark.every_fault
@pytest.mark.parametrize("call", CALLS)
def test_every_fault_at_every_call(place: Place, call: str) -> None:
    check_kinds(place, call, tuple(KINDS))


def test_the_short_set_meets_every_refusal_and_every_call_every_lost_answer() -> None:
    met = {
        (call, kind)
        for n, call in enumerate(CALLS)
        for shift in (0, 1)
        for kind in few_kinds(n + shift, call)
    }
    assert {kind for _, kind in met} == set(KINDS)
    for call in CALLS:
        kinds = {kind for known, kind in met if known == call}
        assert {"429", "cut", "500", "time-out", "malformed"} <= kinds
        assert len(kinds & set(map(str, REFUSED))) == 2


@pytest.mark.parametrize("strategy", ["in_place", "blue_green"])
def test_a_workbench_of_another_version_is_understood(
    tmp_path: Path, versions: Versions, strategy: Strategy
) -> None:
    with emulated(tmp_path, speed=SPEED, odd=True, environment_as_map=True) as emulator:
        for fate in ("unknown", "succeeded"):
            emulator.workbench.destine("build", fate)
        emulator.workbench.destine("deployment", "unknown")
        place = Place(emulator, strategy, versions)
        check_end(place, "", place.before, versions.next())
        place.deployer().stop(ENDPOINT)


def check_kinds(place: Place, call: str, kinds: Sequence[str]) -> None:
    for kind in kinds:
        version, shape = place.versions.next(), KINDS[kind]
        nothing_serves = call == "CreateModel" and place.lose_a_model()
        fault = Fault(call, shape.kind, shape.status, shape.effect)
        place.emulator.faults.set[:] = [fault]
        try:
            check_end(place, call, None if nothing_serves else place.before, version)
        finally:
            place.emulator.faults.set.clear()
        assert fault in place.emulator.faults.struck or call == "StopModelDeployment", f"{kind} was never met"
        place.before = version


def check_end(place: Place, call: str, before: Candidate | None, version: Candidate) -> None:
    """Roll out with the fault that is set; where it fails, the old version serves, and a second try gets through."""
    failure: LakeloopError | None = None
    try:
        assert roll_out(place.deployer(), version).outcome == "live"
    except LakeloopError as error:
        failure = error
    place.emulator.faults.set.clear()
    if failure is not None:
        assert "answer" in str(failure) if call == "Predict" else f"{_method(call)} failed: " in str(failure)
        if isinstance(failure, RolloutFailedError):
            live = place.deployer().live(ENDPOINT)
            assert (live.version if live else None) == (before.identity.version if before else None)
        roll_out(place.deployer(), version)
    deployer = place.deployer()
    assert deployer.live(ENDPOINT).version == version.identity.version
    deployer.finish(ENDPOINT, version.identity.digest()[:20])
    check_single(place.emulator, 1 if place.strategy == "in_place" else 2)
    kept = {b["comment"].rsplit(" ", 1)[-1] for b in place.emulator.workbench.builds.values()}
    recent = {version.identity.version} | ({before.identity.version} if before else set())
    # Blue and green keep two builds each.
    assert kept == recent if place.strategy == "in_place" else recent <= kept
    assert len(kept) <= (2 if place.strategy == "in_place" else 4)


def _method(call: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in call).lstrip("_")
