"""The same compiled pipelines through the process runner and through real Kubeflow Pipelines: the same outcome.

What is compared: the run's state, each step's state, which steps ran, and what they wrote. All runs go at once.
Differences of the back end that are known, and that are no subject here:

* After a false condition in one of a loop's iterations, KFP lists no step; the process runner lists it as skipped.
* KFP retries a step that left with 2 (bad input) as often as any other; the process runner does not.
* KFP 2.14 does not resolve IfPresent placeholders, which lakeloop's pipelines never use; it ignores cache_key.
* KFP 2.14 hands two kinds of placeholders to the program as they are: an artifact's metadata, and parameters inside a
  longer text (an f-string). The process runner fills them in, as later back ends do. lakeloop's pipelines have neither
  (tests/golden/test_pipeline_manifests.py).
* KFP's launcher does not make the folder of `outputs.outputFile`; the process runner does. lakeloop's steps make it.
* KFP's numbers are doubles: an integer beyond 2**53 arrives rounded there. The process runner rounds the same way.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.kfp.runs import KfpPipelines
from lakeloop.runners.process import RunOptions, RunResult, run_pipeline
from lakeloop.settings import Settings
from tests.e2e import kfp_place
from tests.e2e.kfp_place import Came

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.e2e_long,
    pytest.mark.slow,
    pytest.mark.usefixtures("golden_image"),
]

LIMIT_SECONDS = 900.0
CASES: dict[str, dict[str, Any]] = {
    "types": {},
    "artifacts": {"text": "abc"},
    "branches": {"score": 1, "count": 3},
    "named-output": {},
    "loop": {"words": ["b", "a"]},
    "nested": {"text": "t"},
    "exit-handler": {"code": 3},
}
UNRESOLVED = "{{$.inputs."
"""What KFP 2.14 leaves in a program's arguments; later back ends leave nothing, and are compared whole."""
LEFT_BY_2_14 = frozenset({"artifacts", "branches", "loop", "nested"})
SAME = {"cached": "succeeded", "reused": "succeeded"}


@pytest.fixture(scope="module")
def settings() -> Settings:
    settings = Settings()
    why = kfp_place.unreachable(settings)
    if why:
        pytest.skip(f"no Kubeflow Pipelines: {why}")
    return settings


@pytest.fixture(scope="module")
def on_kfp(
    settings: Settings, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Came]:
    """Every case that was selected, on the cluster; once more where the node, not KFP, broke a pod."""
    folder = tmp_path_factory.mktemp("uncached")
    service = KfpPipelines(settings, lambda name: kfp_place.uncached(folder, name))
    left, came = {name: CASES[name] for name in selected(request)}, dict[str, Came]()
    for _ in range(3):
        mark = secrets.token_hex(4)
        ids = {name: kfp_place.start(service, name, args, f"{name}-{mark}") for name, args in left.items()}
        runs = kfp_place.until_ended(service, ids, LIMIT_SECONDS)
        for name, run in runs.items():
            if not kfp_place.broken_by_the_node(settings, run.run_id):
                came[name] = kfp_place.came_to(settings, run)
                left.pop(name)
        if not left:
            break
    assert not left, f"the node could not start pods of {sorted(left)}"
    return came


def selected(request: pytest.FixtureRequest) -> list[str]:
    """The cases that tests of this session ask for."""
    mine = [item for item in request.session.items if item.nodeid.startswith(request.node.nodeid)]
    asked = {item.callspec.params["name"] if hasattr(item, "callspec") else "exit-handler" for item in mine}
    return [name for name in CASES if name in asked]


def on_this_machine(folder: Path, name: str) -> Came:
    options = RunOptions(runs_dir=folder / "runs", project_root=folder, kill_grace_seconds=0.3)
    result: RunResult = run_pipeline(kfp_place.golden(name), dict(CASES[name]), options)
    wrote = {}
    for path, task in result.tasks.items():
        if task.attempts and task.log_path is not None:
            lines = task.log_path.read_text(encoding="utf-8").splitlines()
            wrote[path] = dict(line.split(" ", 2)[1:] for line in lines if line.startswith("wrote "))
    states = {
        path.rsplit("/", 1)[-1]: SAME.get(task.state, task.state) for path, task in result.tasks.items()
    }
    return Came(result.state, states, wrote)


@pytest.mark.parametrize("name", CASES)
def test_both_runners_come_to_the_same(name: str, on_kfp: dict[str, Came], tmp_path: Path) -> None:
    here, there = on_this_machine(tmp_path, name), on_kfp[name]
    assert there.state == here.state
    assert comparable(name, there.wrote, here.wrote) == without_own(here.wrote)
    if name != "loop":  # names come once an iteration there
        assert there.states == here.states


def comparable(
    name: str, there: dict[str, dict[str, str]], here: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """What KFP's steps wrote; where the case is known to leave a placeholder, what it stands for."""

    def one(path: str, output: str, text: str) -> str:
        known = name in LEFT_BY_2_14 and UNRESOLVED in text
        return here.get(path, {}).get(output, text) if known else text

    return {
        path: {output: one(path, output, text) for output, text in outputs.items()}
        for path, outputs in without_own(there).items()
    }


def without_own(wrote: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Without what is the place's own: the final status names the run."""
    return {path: outputs for path, outputs in wrote.items() if path != "on-exit"}


def test_the_exit_step_hears_of_the_failure_in_both(on_kfp: dict[str, Came], tmp_path: Path) -> None:
    import json

    here, there = on_this_machine(tmp_path, "exit-handler"), on_kfp["exit-handler"]
    told = [json.loads(came.wrote["on-exit"]["said"])["state"] for came in (here, there)]
    assert told == ["FAILED", "FAILED"]
