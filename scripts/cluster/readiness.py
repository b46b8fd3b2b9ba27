"""Whether the cluster's workloads are ready: pure over their documents; and the wait for it, with a limit."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.programs import Programs

NAMESPACES: Final = ("kubeflow", "kserve", "lakeloop")
READY_TIMEOUT_SECONDS: Final = 600
_POLL_SECONDS: Final = 2.0
Tell = Callable[[str], None]


def wait_ready(programs: Programs, tell: Tell, limit_seconds: float = READY_TIMEOUT_SECONDS) -> None:
    """Wait until every Deployment, StatefulSet and Job of our namespaces is; tells what is still missing.

    Raises:
        LakeloopError: not within the limit; names each workload, and why its pods do not come.
    """
    deadline, told = time.monotonic() + limit_seconds, ""
    while True:
        missing = [
            f"{namespace}/{name}"
            for namespace in NAMESPACES
            for name in unready(_workloads(programs, namespace))
        ]
        if not missing:
            return
        if time.monotonic() > deadline:
            reasons = [r for namespace in NAMESPACES for r in pod_reasons(_pods(programs, namespace))]
            raise LakeloopError(
                f"not ready after {limit_seconds:.0f} s: {', '.join(missing)}",
                where="cluster",
                fix="; ".join(reasons[:8]) or "kubectl get events --all-namespaces",
            )
        if (text := ", ".join(missing)) != told:
            tell(f"waiting for {text}")
            told = text
        time.sleep(_POLL_SECONDS)


def unready(workloads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of those that are not there yet as declared."""
    return [f"{one['kind'].lower()} {one['metadata']['name']}" for one in workloads if not _is_ready(one)]


def pod_reasons(pods: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Why pods that are not ready are not, one line each."""
    for pod in pods:
        status = pod.get("status", {})
        states = [c for key in ("initContainerStatuses", "containerStatuses") for c in status.get(key) or []]
        for state in states:
            waiting = (state.get("state") or {}).get("waiting")
            if waiting and waiting.get("reason") not in {"PodInitializing", "ContainerCreating"}:
                detail = waiting.get("message") or ""
                yield f"pod {pod['metadata']['name']}: {waiting.get('reason')} {detail}".strip()
        for condition in status.get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                yield f"pod {pod['metadata']['name']}: {condition.get('message', 'not scheduled')}"


def _is_ready(workload: Mapping[str, Any]) -> bool:
    status, spec = workload.get("status") or {}, workload["spec"]
    if workload["kind"] == "Job":
        return bool(status.get("succeeded"))
    seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    wanted = spec.get("replicas", 1)
    updated = status.get("updatedReplicas", 0) >= wanted
    return bool(seen and updated and status.get("readyReplicas", 0) >= wanted)


def _workloads(programs: Programs, namespace: str) -> list[dict[str, Any]]:
    kinds = "deployments,statefulsets"
    if namespace == "lakeloop":
        kinds += ",jobs"
    selector = ("--selector", "app.kubernetes.io/part-of=lakeloop,app.kubernetes.io/component!=endpoint")
    words = ("get", kinds, *(selector if namespace == "lakeloop" else ()), "--output", "json")
    return list(json.loads(programs.kubectl("--namespace", namespace, *words))["items"])


def _pods(programs: Programs, namespace: str) -> list[dict[str, Any]]:
    return list(
        json.loads(programs.kubectl("--namespace", namespace, "get", "pods", "--output", "json"))["items"]
    )
