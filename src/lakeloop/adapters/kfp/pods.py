"""The pods of a run: which is whose, what they logged, and why one did not come up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.kfp.connection import pods_namespace
from lakeloop.domain.remote_run import StepLog
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

TIMEOUT_SECONDS = 20
LAUNCHER_LINES = 150
"""As many lines KFP's launcher writes around a step's own: they are read, and left out."""
NODE_NAME = "workflows.argoproj.io/node-name"
_EXECUTOR = re.compile(r"^executor(?:\((\d+)\))?$")
_EXIT_STATUS = re.compile(r"failed to execute component: exit status (\d+)")
# Lines of KFP's launcher (glog) and of Argo's executor around the step's own.
_FOREIGN = re.compile(r'^(?:[IWEF]\d{4} \d\d:\d\d:\d\d|time="[^"]*" level=|Error: exit status \d+$)')
_FATAL = re.compile(r"^F\d{4} [^\]]*\] (.*)$", re.MULTILINE)
_DUMP = re.compile(r'^\s*["{}\[\]]')
"""A line of the JSON that the launcher writes over several lines."""
_IMAGE = re.compile(r'(?:image|reference) "([^"]+)"')
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
_UNINTERESTING = frozenset({"Completed", "PodInitializing", "ContainerCreating", "Error"})


@dataclass(frozen=True, slots=True)
class StepPod:
    """A pod that ran a step, or that prepared it."""

    name: str
    attempt: int
    problem: str
    prepares: bool
    """Whether it is the step's driver."""


class RunPods:
    """Reads pods with the current kube context, or as the pod's own service account."""

    def __init__(self, settings: Settings) -> None:
        self._namespace = pods_namespace(settings)
        self._core: CoreV1Api | None = None
        self._closed = False

    def step_log(self, run_id: str, task: str, lines: int) -> StepLog | None:
        """The end of the newest attempt's log, the launcher's lines left out; None where pods cannot be read."""
        if self._closed:
            return None
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config import ConfigException
        from urllib3.exceptions import HTTPError

        try:
            return self._read(run_id, task, lines)
        except (ApiException, HTTPError, OSError) as error:
            # Not allowed: asked once. Anything else may work the next time.
            self._closed = getattr(error, "status", 0) in {401, 403}
            return None
        except (ConfigException, TypeError):
            self._closed = True
            return None

    def _read(self, run_id: str, task: str, lines: int) -> StepLog | None:
        listed = self._api().list_namespaced_pod(
            self._namespace, label_selector=f"pipeline/runid={run_id}", _request_timeout=TIMEOUT_SECONDS
        )
        found = newest_pod((pod.to_dict() for pod in listed.items), task)
        if found is None:
            return None
        text = self._tail(found.name, lines)
        if found.prepares:
            # What a driver logs is KFP's own: of interest only where it gave up.
            return StepLog(attempt=1, lines=(), pod=found.name, problem=found.problem or last_words(text))
        code = exit_status(text)
        own = tuple(line for line in text.splitlines() if line.strip() and not _FOREIGN.match(line))
        return StepLog(
            attempt=found.attempt, lines=own, pod=found.name, problem=found.problem, exit_code=code
        )

    def _tail(self, pod: str, lines: int) -> str:
        from kubernetes.client.exceptions import ApiException

        try:
            return str(
                self._api().read_namespaced_pod_log(
                    pod,
                    self._namespace,
                    container="main",
                    tail_lines=lines + LAUNCHER_LINES,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            )
        except ApiException as error:
            if error.status in {400, 404}:  # not started yet, or gone
                return ""
            raise

    def _api(self) -> CoreV1Api:
        if self._core is None:
            from kubernetes import client, config

            configuration = client.Configuration()
            if os.environ.get("KUBERNETES_SERVICE_HOST"):
                config.load_incluster_config(client_configuration=configuration)
            else:
                config.load_kube_config(client_configuration=configuration)
            configuration.retries = False
            self._core = client.CoreV1Api(client.ApiClient(configuration))
        return self._core


def newest_pod(pods: Iterable[dict[str, Any]], task: str) -> StepPod | None:
    """The pod of the task's last attempt; its driver's where no attempt has begun.

    Args:
        pods: as the Kubernetes client's `to_dict` gives them.
        task: as in the compiled pipeline.
    """
    attempts: list[tuple[int, str, dict[str, Any]]] = []
    for pod in pods:
        path = ((pod["metadata"].get("annotations") or {}).get(NODE_NAME) or "").split(".")
        executor = _EXECUTOR.match(path[-1])
        if executor and len(path) > 1 and path[-2] == task:
            attempts.append((int(executor[1] or 0) + 1, str(pod["metadata"]["creation_timestamp"]), pod))
        elif path[-1] == f"{task}-driver":
            attempts.append((0, str(pod["metadata"]["creation_timestamp"]), pod))
    if not attempts:
        return None
    attempt, _, pod = max(attempts, key=lambda a: (a[0], a[1]))
    return StepPod(pod["metadata"]["name"], max(attempt, 1), pod_problem(pod), prepares=attempt == 0)


def pod_problem(pod: dict[str, Any]) -> str:
    """Why the pod does not come up or was ended, in one line; empty where its log says it."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "Unschedulable":
            return f"Unschedulable: {condition.get('message') or ''}".strip()
    if status.get("reason"):
        return f"{status['reason']}: {status.get('message') or ''}".strip(": ")
    containers = [*(status.get("init_container_statuses") or []), *(status.get("container_statuses") or [])]
    for container in containers:
        state = container.get("state") or {}
        told = state.get("waiting") or state.get("terminated") or {}
        if (told.get("reason") or "Completed") not in _UNINTERESTING:
            return _told(told["reason"], (told.get("message") or "").strip())
    return ""


def _told(reason: str, message: str) -> str:
    image = _IMAGE.search(message)
    if reason in _NO_IMAGE and image:
        # The two take turns, with ever longer messages: one text, so that it is told once.
        return f"the image {image[1]} cannot be pulled: {message.rsplit(': ', 1)[-1]}"
    return f"{reason}: {message}"[:400].strip(": ")


def own_lines(lines: Iterable[str], *, cut: bool) -> tuple[str, ...]:
    """The step's own lines, without those of KFP's launcher and Argo's executor.

    Args:
        lines: the log, or its end.
        cut: whether it may begin in the middle of something.
    """
    found, in_dump = [], cut
    for line in lines:
        foreign = bool(_FOREIGN.match(line))
        in_dump = foreign or (in_dump and bool(_DUMP.match(line)))
        if line.strip() and not in_dump:
            found.append(line)
    return tuple(found)


def last_words(log: str) -> str:
    """Why KFP's driver gave up, by its last fatal line (glog); empty where it did not."""
    found = _FATAL.findall(log)
    return f"KFP's driver: {found[-1]}"[:400] if found else ""


def exit_status(log: str) -> int | None:
    """The step's own exit code, which KFP's launcher logs and turns into 1."""
    found = _EXIT_STATUS.findall(log)
    return int(found[-1]) if found else None
