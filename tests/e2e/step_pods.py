"""A pod like a step's: its account, settings, credentials and image, without Kubeflow Pipelines around it."""

from __future__ import annotations

from typing import Any

from pipelines.placement import CREDENTIALS, CREDENTIALS_FOLDER, SETTINGS, SETTINGS_FOLDER


def step_pod(name: str, image: str, command: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    """To run in the steps' namespace, restricted as far as a pod can be, to its end and no second time."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/part-of": "lakeloop", "app.kubernetes.io/component": "step"},
        },
        "spec": {
            "serviceAccountName": "lakeloop-steps",
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 900,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(image, command, env or {})],
            "volumes": [
                {"name": "settings", "configMap": {"name": SETTINGS}},
                {"name": "credentials", "secret": {"secretName": CREDENTIALS}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }


def _container(image: str, command: list[str], env: dict[str, str]) -> dict[str, Any]:
    return {
        "name": "step",
        "image": image,
        "command": command,
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            {"name": "credentials", "mountPath": CREDENTIALS_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }
