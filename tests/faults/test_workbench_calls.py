"""Faults at every call of a redeploy to an emulated workbench: where it ends, what is doubled, what is said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.cai.deployer import CaiDeployer
from lakeloop.adapters.cai.patience import Patience
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Candidate, Rollout
from lakeloop.rollout.proof import ProofRows
from lakeloop.rollout.rolling_out import RollingOut, RolloutFailedError
from lakeloop.serving.model import load
from lakeloop.serving.rows import parse_request
from lakeloop.serving.workbench.answering import Answering
from tests.emulators.cai.faults import Fault
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import SPEC, FolderServingModels, api_of, emulated
from tests.fakes.models import ROWS, candidate, model_folder

ENDPOINT = "card-fraud"
SPEED = 6000.0
HASTE = Patience(first=0.005, most=0.05, call=1.0, look=0.2, long_look=2.0)

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


def in_process(folder: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The proof's own process costs seconds of imports; here it is this one."""
    return Answering(folder).scored(rows)


def deployer_of(emulator: Emulator, told: list[str] | None = None, **spec: Any) -> CaiDeployer:
    models = FolderServingModels(emulator.workbench.folder / "experiments")
    changed = SPEC.model_copy(
        update={"keep": 2, "build_timeout_seconds": 10, "deploy_timeout_seconds": 10, **spec}
    )
    return CaiDeployer(api_of(emulator, told, HASTE), changed, models, in_process)


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


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with emulated(tmp_path, speed=SPEED) as found:
        found.hang_seconds = 1.2
        yield found


def roll_out(deployer: CaiDeployer, candidate: Candidate, told: list[str] | None = None) -> Rollout:
    served = load(Path(candidate.model_folder))
    rows = parse_request(json.dumps({"rows": ROWS}).encode(), served.encoding.source_columns)
    proof = ProofRows(raw=tuple(ROWS), offline=tuple(served.scores(rows)))
    said = told if told is not None else []
    return RollingOut(deployer, ENDPOINT, candidate, proof, 1e-6, lambda: None, said.append).run()


def serving_version(emulator: Emulator) -> str | None:
    live = deployer_of(emulator).live(ENDPOINT)
    return live.version if live else None


def check_single(emulator: Emulator) -> None:
    """One model; no version, build or active deployment twice; nothing sent that the description lacks."""
    workbench = emulator.workbench
    assert len([m for m in workbench.models.values() if m["name"] == ENDPOINT]) == 1
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
    emulator: Emulator, versions: Versions, call: str
) -> None:
    for _ in range(3):
        before = versions.next()
        roll_out(deployer_of(emulator), before)
    for kind, shape in KINDS.items():
        version = versions.next()
        if call == "CreateModel":
            emulator.workbench.delete_model(next(iter(emulator.workbench.models)))
        fault = Fault(call, shape.kind, shape.status, shape.effect)
        emulator.faults.set[:] = [fault]
        check_end(emulator, call, before if call != "CreateModel" else None, version)
        assert fault in emulator.faults.struck or call == "StopModelDeployment", f"{kind} was never met"
        before = version


def check_end(emulator: Emulator, call: str, before: Candidate | None, version: Candidate) -> None:
    """Roll out with the fault that is set; where it fails, the old version serves, and a second try gets through."""
    failure: LakeloopError | None = None
    try:
        assert roll_out(deployer_of(emulator), version).outcome == "live"
    except LakeloopError as error:
        failure = error
    if failure is not None:
        emulator.faults.set.clear()
        assert "answer" in str(failure) if call == "Predict" else f"{_method(call)} failed: " in str(failure)
        if isinstance(failure, RolloutFailedError):
            assert serving_version(emulator) == (before.identity.version if before else None)
        roll_out(deployer_of(emulator), version)
    emulator.faults.set.clear()
    deployer = deployer_of(emulator)
    assert deployer.live(ENDPOINT).version == version.identity.version
    deployer.finish(ENDPOINT, version.identity.digest()[:20])
    check_single(emulator)
    expected = {before.identity.version} if before else set()
    kept = {b["comment"].rsplit(" ", 1)[-1] for b in emulator.workbench.builds.values()}
    assert kept == expected | {version.identity.version}


def _method(call: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in call).lstrip("_")
