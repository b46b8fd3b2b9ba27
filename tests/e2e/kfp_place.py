"""A real Kubeflow Pipelines to test against, and what a run there came to, as the process runner would say it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakeloop.adapters.kfp.pods import NODE_NAME, own_lines
from lakeloop.adapters.kfp.runs import KfpPipelines
from lakeloop.domain.errors import LakeloopError, ServiceAwayError
from lakeloop.domain.remote_run import RemoteRun, Submission
from lakeloop.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "runner_pipelines"
_ITERATION = re.compile(r"^iteration-iterations\((\d+):\d+\)$")
_EXECUTOR = re.compile(r"^executor(?:\(\d+\))?$")
_WROTE = re.compile(r"^wrote (\S+) ?(.*)$")


def unreachable(settings: Settings) -> str:
    """Why no Kubeflow Pipelines answers; empty where one does."""
    try:
        KfpPipelines(settings, golden).find("nothing-of-this-name")
    except LakeloopError as error:
        return str(error)
    return ""


def golden(name: str) -> Path:
    """A committed pipeline of the process runner's own tests."""
    return GOLDEN / f"{name}.yaml"


def uncached(folder: Path, name: str) -> Path:
    """A copy of it whose every task runs, whatever the cluster remembers of earlier tests."""
    documents = list(yaml.safe_load_all(golden(name).read_text(encoding="utf-8")))
    for component in [documents[0]["root"], *documents[0]["components"].values()]:
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    copy = folder / f"{name}.yaml"
    copy.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return copy


@dataclass(frozen=True)
class Came:
    """How a run ended: its state, each step's state by name, and what each executed step wrote, by its path."""

    state: str
    states: dict[str, str]
    wrote: dict[str, dict[str, str]]


def until_ended(service: KfpPipelines, run_ids: dict[str, str], limit_seconds: float) -> dict[str, RemoteRun]:
    """Every run, once all of them have ended.

    Raises:
        TimeoutError: some go on after the limit; they are terminated.
    """
    runs: dict[str, RemoteRun] = {}
    until = time.monotonic() + limit_seconds
    while len(runs) < len(run_ids):
        for name, run_id in run_ids.items():
            with suppress(ServiceAwayError):  # bounded by the limit below
                if name not in runs and (run := service.look(run_id)).ended:
                    runs[name] = run
        if time.monotonic() > until:
            left = set(run_ids) - set(runs)
            for name in left:
                service.terminate(run_ids[name])
            raise TimeoutError(f"after {limit_seconds:g} s: {', '.join(sorted(left))}")
        time.sleep(3)
    return runs


def start(service: KfpPipelines, pipeline: str, arguments: dict[str, Any], name: str) -> str:
    """Submit one of the golden pipelines."""
    submission = Submission(
        name=name, experiment="lakeloop-conformance", pipeline=pipeline, arguments=arguments
    )
    return service.start(submission)


def came_to(settings: Settings, run: RemoteRun) -> Came:
    """State and step states by the API, outputs by the steps' own log lines."""
    wrote: dict[str, dict[str, str]] = {}
    for path, lines in executed(settings, run.run_id):
        found = [match for line in lines if (match := _WROTE.match(line))]
        wrote[path] = {match[1]: match[2] for match in found}
    return Came(run.state, {task.name: task.state for task in run.tasks}, wrote)


def executed(settings: Settings, run_id: str) -> Iterator[tuple[str, list[str]]]:
    """The path and the lines of each step that had a pod of its own."""
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException

    config.load_kube_config()
    core = client.CoreV1Api()
    pods = core.list_namespaced_pod(settings.kfp_namespace, label_selector=f"pipeline/runid={run_id}")
    for pod in pods.items:
        node = (pod.metadata.annotations or {}).get(NODE_NAME, "").split(".")
        if _EXECUTOR.match(node[-1]):
            log = ""
            with suppress(ApiException):  # it never started
                log = core.read_namespaced_pod_log(
                    pod.metadata.name, settings.kfp_namespace, container="main"
                )
            yield step_path(node), list(own_lines(log.splitlines(), cut=False))


def step_path(node: list[str]) -> str:
    """`wf.root.for-loop-1.iteration-iterations(0:0).iteration-item.say.executor` -> `for-loop-1/iteration-0/say`."""
    found: list[str] = []
    for part in node[2:-1]:
        iteration = _ITERATION.match(part)
        if part == "onExit":
            found.clear()  # the exit task stands beside its group
        elif iteration:
            found.append(f"iteration-{iteration[1]}")
        elif part != "iteration-item":
            found.append(part)
    return "/".join(found)


def broken_by_the_node(settings: Settings, run_id: str) -> bool:
    """Whether a pod of the run could not be started by the node: an overloaded test machine, no answer of KFP's."""
    from kubernetes import client, config

    config.load_kube_config()
    pods = client.CoreV1Api().list_namespaced_pod(
        settings.kfp_namespace, label_selector=f"pipeline/runid={run_id}"
    )
    ended = [
        status.state.terminated
        for pod in pods.items
        for status in pod.status.container_statuses or []
        if status.state and status.state.terminated
    ]
    return any(one.reason == "StartError" for one in ended)
