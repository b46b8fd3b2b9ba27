"""The pod template of executors: what Spark has no property for, above all the Pod Security level `restricted`."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.spark_resources import SparkResources, Toleration

CONTAINER = "spark-executor"
SCRATCH = "/tmp"  # noqa: S108 - the executor's own emptyDir: its root file system is read-only


def pod_template(resources: SparkResources) -> dict[str, Any]:
    """A Pod document (core/v1) for `spark.kubernetes.executor.podTemplateFile`.

    Spark adds name, image, resources, environment, owner and its local directories (emptyDir) to it. Executors never
    call the Kubernetes API, so they get no token.
    """
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": pod_security(),
        "containers": [
            {
                "name": CONTAINER,
                "workingDir": SCRATCH,
                "securityContext": container_security(),
                "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    if resources.tolerations:
        spec["tolerations"] = [toleration(t) for t in resources.tolerations]
    if resources.priority_class:
        spec["priorityClassName"] = resources.priority_class
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def pod_security() -> dict[str, Any]:
    """Pod security context of level `restricted`; the image names the user."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def container_security() -> dict[str, Any]:
    """Container security context of level `restricted`, with a read-only root file system."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def toleration(declared: Toleration) -> dict[str, str]:
    """As a pod's `tolerations` takes it: what is empty is left out."""
    return {name: value for name, value in declared.model_dump().items() if value}
