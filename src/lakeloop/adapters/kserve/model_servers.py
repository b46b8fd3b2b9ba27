"""A component of an InferenceService, predictor or transformer: pods with one server of ours."""

from __future__ import annotations

from dataclasses import dataclass

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.pods import CONTAINER_SECURITY, POD_SECURITY, Object, probe
from lakeloop.domain.model_pods import ModelPods

DRAIN_SECONDS = 10
GRACE_SECONDS = 60
"""Drain, then the requests under way, before the kernel ends the process."""
LISTENING = (
    *("--host", "0.0.0.0"),  # noqa: S104 - in a pod
    *("--port", str(names.PORT)),
    *("--grpc-port", str(names.GRPC_PORT)),
    *("--drain-seconds", str(DRAIN_SECONDS)),
)
"""Arguments of each server."""


@dataclass(frozen=True)
class Server:
    """What runs in the container."""

    module: str
    arguments: list[str]
    environment: list[Object]
    mounts: list[Object]
    image: str


def component(pods: ModelPods, server: Server, volumes: list[Object], beside: Object) -> Object:
    """`spec.predictor` or `spec.transformer`.

    Args:
        pods: how many, and what each may take.
        server: in each.
        volumes: of each.
        beside: more of its pod.
    """
    scaling = {"scaleMetric": "cpu", "scaleTarget": 80} if pods.most > pods.replicas else {}
    return {
        "minReplicas": pods.replicas,
        "maxReplicas": pods.most,
        **scaling,
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        "volumes": volumes,
        **beside,
        "containers": [_container(pods, server)],
    }


def _container(pods: ModelPods, server: Server) -> Object:
    return {
        "name": names.SERVING_CONTAINER,
        "image": server.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", server.module],
        "args": server.arguments,
        "env": server.environment,
        # The first is port 80 of the Service that KServe makes, the second has its own number there.
        "ports": [
            {"name": "http", "containerPort": names.PORT, "protocol": "TCP"},
            {"name": names.GRPC_PORT_NAME, "containerPort": names.GRPC_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": probe("/health/ready", 2, 3),
        # The port opens once the server can answer: until then neither probe can pass, and only this one counts.
        "startupProbe": probe("/health/live", 2, 300),
        "livenessProbe": probe("/health/live", 10, 6),
        "resources": {
            "requests": {"cpu": pods.cpu, "memory": pods.memory},
            "limits": {"cpu": pods.cpu_limit, "memory": pods.memory_limit},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": server.mounts,
    }
