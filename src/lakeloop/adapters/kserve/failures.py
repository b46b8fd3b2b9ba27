"""Why a pod does not come up, in one line: from statuses as the Kubernetes API gives them (plain JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from lakeloop.domain.base import Frozen

Object = dict[str, Any]
Kind = Literal[
    "image", "configuration", "crash", "memory", "unschedulable", "refused", "deadline", "starting"
]

_NEVER_PULLED = {"InvalidImageName", "ErrImageNeverPull", "ImagePullBackOff"}
_PULLING = {"ErrImagePull", "RegistryUnavailable", "ImageInspectError"}
_CONFIGURATION = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_CRASHES_BEFORE_THE_END = 2
_LOG_LINES = 3
_ERROR_LINES = 6


class Finding(Frozen):
    """What keeps a pod from answering. `final`: to wait longer cannot help."""

    kind: Kind
    text: str
    final: bool = False
    pod: str = ""
    wants_log: bool = False
    previous_log: bool = False


def findings(pods: Sequence[Object]) -> list[Finding]:
    """One finding for each pod that does not answer, the surest first."""
    found = [finding for pod in pods if (finding := pod_finding(pod)) is not None]
    return sorted(found, key=lambda f: (not f.final, f.kind == "starting", f.pod))


def pod_finding(pod: Object) -> Finding | None:
    """What keeps one pod from answering; None where it is ready."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True":
        return None
    for container in _containers(status):
        finding = _container_finding(name, container)
        if finding is not None:
            return finding
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        text = f"no node takes pod {name}: {_line(scheduled.get('message', scheduled.get('reason', '')))}"
        return Finding(kind="unschedulable", text=text, pod=name)
    if status.get("phase") == "Failed":
        told = _line(status.get("message") or status.get("reason") or "no reason given")
        return Finding(kind="crash", text=f"pod {name} failed: {told}", final=True, pod=name)
    return Finding(kind="starting", text=f"pod {name} is not ready yet", pod=name, wants_log=True)


def deployment_finding(deployment: Object | None) -> Finding | None:
    """What keeps a Deployment from having pods: quota, Pod Security, a webhook; None where nothing is told."""
    conditions = {c["type"]: c for c in (deployment or {}).get("status", {}).get("conditions", [])}
    refused = conditions.get("ReplicaFailure", {})
    if refused.get("status") == "True":
        return Finding(
            kind="refused", text=f"the cluster refuses its pods: {_line(refused.get('message', ''))}"
        )
    return None


def service_finding(service: Object) -> Finding | None:
    """What KServe tells of an InferenceService for which it has made no Deployment; None where nothing."""
    for condition in service.get("status", {}).get("conditions", []):
        if condition.get("status") == "False" and condition.get("message"):
            return Finding(kind="refused", text=f"KServe: {_line(condition['message'])}")
    return None


def with_log(finding: Finding, log: str) -> Finding:
    """The finding with the end of the container's log behind it: from its last `error:` on, else the last lines."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if line.startswith("error:")]
    told = lines[errors[-1] :][:_ERROR_LINES] if errors else lines[-_LOG_LINES:]
    if not told:
        return finding
    return finding.model_copy(update={"text": f"{finding.text}; its log ends: {' | '.join(told)}"})


def advice(finding: Finding | None) -> str:
    """What to do about it."""
    if finding is None:
        return "see the controller of KServe: kubectl -n kserve logs deploy/kserve-controller-manager"
    return {
        "image": "check the name LAKELOOP_SERVE_IMAGE and whether the cluster reaches the registry",
        "configuration": "check ConfigMap lakeloop-settings and Secret lakeloop-credentials in its namespace",
        "crash": "see its log: mend the image, the storage or the model",
        "memory": "raise deployment.pods.memory_limit",
        "unschedulable": "free the node, add one, or lower deployment.pods.cpu and memory",
        "refused": "raise the quota, or mend what the message names",
        "deadline": "raise deployment.timeout_seconds",
        "starting": "raise deployment.timeout_seconds, or free the node",
    }[finding.kind]


def _containers(status: Object) -> Iterator[Object]:
    yield from status.get("initContainerStatuses", [])
    yield from status.get("containerStatuses", [])


def _container_finding(pod: str, container: Object) -> Finding | None:
    state, restarts = container.get("state", {}), int(container.get("restartCount", 0))
    waiting = state.get("waiting", {})
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), _line(waiting.get("message", ""))
    if reason in _NEVER_PULLED | _PULLING:
        text = f"image {container.get('image', '')} cannot be pulled ({reason}): {message}"
        return Finding(kind="image", text=text, final=reason in _NEVER_PULLED, pod=pod)
    if reason in _CONFIGURATION:
        text = f"its container cannot be made ({reason}): {message}"
        # A Secret may be on its way; a file that the image lacks never comes.
        return Finding(kind="configuration", text=text, final=reason == "RunContainerError", pod=pod)
    if (ended and ended.get("exitCode", 0) != 0) or reason == "CrashLoopBackOff":
        return _crash(pod, container, ended, restarts, waits=bool(waiting))
    return None


def _crash(pod: str, container: Object, ended: Object, restarts: int, *, waits: bool) -> Finding:
    name = container.get("name", "container")
    if ended.get("reason") == "OOMKilled":
        text = f"container {name} of pod {pod} was killed: out of memory"
        return Finding(kind="memory", text=text, final=True, pod=pod)
    code = ended.get("exitCode")
    times = "" if restarts < 1 else f", started {restarts + 1} times"
    return Finding(
        kind="crash",
        text=f"container {name} of pod {pod} ended with exit code {code}{times}",
        final=restarts >= _CRASHES_BEFORE_THE_END - 1,
        pod=pod,
        wants_log=True,
        # While it waits for its next start, the ended container is the current one.
        previous_log=not waits and "running" in container.get("state", {}),
    )


def _line(text: str) -> str:
    return " ".join(text.split())
