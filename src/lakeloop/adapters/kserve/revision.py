"""Whether the revision that was asked for is what runs: from objects as the Kubernetes API gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakeloop.adapters.kserve.names import HANDLE_LABEL, SERVICE_PORT

Object = dict[str, Any]


def pods_of(pods: Sequence[Object], handle: str) -> list[Object]:
    """Pods of the handle that are not on their way out, the newest first."""
    mine = [
        pod
        for pod in pods
        if pod["metadata"].get("labels", {}).get(HANDLE_LABEL) == handle
        and "deletionTimestamp" not in pod["metadata"]
    ]
    return sorted(mine, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)


def rolled_out(service: Object | None, deployment: Object | None, handle: str) -> bool:
    """Whether both controllers have seen what was asked for last, and all pods of this handle are ready.

    `Ready` of an InferenceService, and `Available` of a Deployment, stay true of what ran before.
    """
    if service is None or deployment is None or not _seen(service):
        return False
    spec, status = deployment["spec"], deployment.get("status", {})
    asked = spec["template"]["metadata"].get("labels", {}).get(HANDLE_LABEL)
    wanted = int(spec.get("replicas", 1))
    ready = min(int(status.get("updatedReplicas", 0)), int(status.get("availableReplicas", 0)))
    return asked == handle and _seen(deployment) and wanted > 0 and ready >= wanted


def all_updated(deployment: Object | None) -> bool:
    """Whether every pod of a Deployment is of its present template and ready, and no other is left."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status", {}), int(deployment["spec"].get("replicas", 1))
    counts = [int(status.get(key, 0)) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return _seen(deployment) and counts == [wanted] * len(counts)


def _seen(object_: Object) -> bool:
    return int(object_.get("status", {}).get("observedGeneration", 0)) >= int(
        object_["metadata"]["generation"]
    )


def http_port(service: Object) -> Object:
    """The port of a Service that answers HTTP: 80, else its first."""
    ports: list[Object] = service["spec"]["ports"]
    return next((port for port in ports if port["port"] == SERVICE_PORT), ports[0])


def called_port(service: Object) -> int:
    """Port by which its DNS name is called: a headless Service leads straight to the pods' own port."""
    port = http_port(service)
    if service["spec"].get("clusterIP") == "None" and isinstance(port.get("targetPort"), int):
        return int(port["targetPort"])
    return int(port["port"])


def is_ready(pod: Object) -> bool:
    """Whether a Service sends it requests."""
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        c["type"] == "Ready" and c["status"] == "True" for c in conditions
    )
