"""The stable side of an endpoint: gateway Deployment, Service, PodDisruptionBudget, and its routes."""

from __future__ import annotations

from typing import Any

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.pods import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    disruption_budget,
    empty_folders,
    probe,
    spread,
)
from lakeloop.domain.base import Frozen
from lakeloop.domain.routes import ROUTES_KEY, Routes

Object = dict[str, Any]

DRAIN_SECONDS = 10
GRACE_SECONDS = 60


class GatewayPlace(Frozen):
    """All that a gateway's objects depend on."""

    endpoint: str
    namespace: str
    image: str
    replicas: int = 2

    @property
    def match(self) -> dict[str, str]:
        """Labels by which its pods are found."""
        return {names.ENDPOINT_LABEL: self.endpoint, names.PART_LABEL: "gateway"}


def gateway_objects(place: GatewayPlace) -> list[Object]:
    """In the order in which they are applied."""
    name, labels = names.gateway_name(place.endpoint), names.labels(place.endpoint, "gateway")
    return [
        disruption_budget(name, place.namespace, labels, place.match),
        _deployment(place, name, labels),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": place.endpoint, "namespace": place.namespace, "labels": labels},
            "spec": {
                "selector": place.match,
                "ports": [
                    {
                        "name": "http",
                        "port": names.SERVICE_PORT,
                        "targetPort": names.PORT,
                        "protocol": "TCP",
                    },
                    {
                        "name": names.GRPC_PORT_NAME,
                        "port": names.GRPC_PORT,
                        "targetPort": names.GRPC_PORT,
                        "protocol": "TCP",
                        "appProtocol": "kubernetes.io/h2c",
                    },
                ],
            },
        },
    ]


def routes_config_map(endpoint: str, namespace: str, routes: Routes, version: str | None = None) -> Object:
    """The endpoint's routes.

    Args:
        endpoint: its name.
        namespace: where.
        routes: what the gateways are to do.
        version: resourceVersion that is replaced; None for the first routes.
    """
    metadata: Object = {
        "name": names.routes_name(endpoint),
        "namespace": namespace,
        "labels": names.labels(endpoint, "routes"),
    }
    if version is not None:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {ROUTES_KEY: routes.model_dump_json()},
    }


def _deployment(place: GatewayPlace, name: str, labels: dict[str, str]) -> Object:
    folders = empty_folders(tmp="64Mi")
    pod = {
        "serviceAccountName": names.ENDPOINT_SERVICE_ACCOUNT,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        "topologySpreadConstraints": spread(place.match),
        "volumes": folders["volumes"],
        "containers": [_container(place, folders["mounts"])],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": place.namespace, "labels": labels},
        "spec": {
            "replicas": place.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": place.match},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _container(place: GatewayPlace, mounts: list[Object]) -> Object:
    return {
        "name": "gateway",
        "image": place.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lakeloop.serving.gateway"],
        "args": [
            *("--endpoint", place.endpoint),
            *("--routes-config-map", f"{place.namespace}/{names.routes_name(place.endpoint)}"),
            *("--host", "0.0.0.0"),  # noqa: S104 - in a pod
            *("--port", str(names.PORT)),
            *("--grpc-port", str(names.GRPC_PORT)),
            *("--backend-grpc-port", str(names.GRPC_PORT)),
            *("--drain-seconds", str(DRAIN_SECONDS)),
        ],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108
        "ports": [
            {"name": "http", "containerPort": names.PORT, "protocol": "TCP"},
            {"name": names.GRPC_PORT_NAME, "containerPort": names.GRPC_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": probe("/gateway/ready", 2, 3),
        "livenessProbe": probe("/gateway/status", 10, 6),
        "resources": {
            "requests": {"cpu": "25m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }
