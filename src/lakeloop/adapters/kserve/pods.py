"""Parts that every pod of an endpoint has, as Pod Security `restricted` wants them."""

from __future__ import annotations

from typing import Any

from lakeloop.adapters.kserve.names import PORT

Object = dict[str, Any]

POD_SECURITY: Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}


def probe(path: str, period_seconds: int, failures: int) -> Object:
    """HTTP probe of the server's port."""
    return {
        "httpGet": {"path": path, "port": PORT},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def empty_folders(**size_by_name: str) -> Object:
    """Writable folders `/NAME` of a container whose root is read-only, on the node's disk: (volumes, mounts)."""
    return {
        "volumes": [{"name": n, "emptyDir": {"sizeLimit": size}} for n, size in size_by_name.items()],
        "mounts": [{"name": n, "mountPath": f"/{n}"} for n in size_by_name],
    }


def spread(match: dict[str, str]) -> list[Object]:
    """Pods of one kind on different nodes where there are several."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": match},
        }
    ]


def disruption_budget(name: str, namespace: str, labels: dict[str, str], match: dict[str, str]) -> Object:
    """One pod at a time may be evicted: a node drain goes on, and a second pod answers meanwhile."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": match}},
    }
