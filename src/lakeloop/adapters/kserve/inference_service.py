"""The InferenceService of one model version: a pure function of what is to be served.

Standard mode: a Deployment and a Service by KServe, no Knative, no ingress. Each version has an InferenceService
of its own, so that it starts, is proved and ends apart from every other.
"""

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
from lakeloop.adapters.kserve.prediction_shipper import FOLDER, log_mount, shipper, shipper_volumes
from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.model_files import IDENTITY_VARIABLE
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Identity

Object = dict[str, Any]

DRAIN_SECONDS = 10
GRACE_SECONDS = 60
"""Drain, then the requests under way, before the kernel ends the process."""
_STORAGE_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_REGION")
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ONLINE_STORE = "LAKELOOP_ONLINE_STORE_URI"
"""A credential, too: its URI holds the password."""


class ServedVersion(Frozen):
    """All that the manifest depends on; `shipper_image` empty: predictions are not logged."""

    endpoint: str
    namespace: str
    image: str
    model_uri: str
    identity: Identity
    pods: ModelPods = ModelPods()
    online_features: bool = False
    shipper_image: str = ""


def inference_service(version: ServedVersion) -> Object:
    """`serving.kserve.io/v1beta1` InferenceService with a custom predictor container.

    Its name and the label `lakeloop.dev/handle` of its pods are the digest of what it specifies: model, identity,
    image, size. So another image for the same version is another candidate, which is proved like any other, and
    what rolled out is told from what was there before by a label, never by a condition.
    """
    predictor = _predictor(version)
    handle = sha256_hex(f"{version.endpoint}\n{canonical_json(predictor)}")[: names.HANDLE_LENGTH]
    labels = names.labels(version.endpoint, "predictor", handle)
    predictor |= {
        "labels": labels,
        "topologySpreadConstraints": spread({names.HANDLE_LABEL: handle}),
    }
    scaled = version.pods.most > version.pods.replicas
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": names.model_name(version.endpoint, handle),
            "namespace": version.namespace,
            "labels": labels,
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "hpa" if scaled else "none",
            },
        },
        "spec": {"predictor": predictor},
    }


def predictor_budget(applied: Object) -> Object | None:
    """Of a version with several pods: evicted one at a time. Goes with its InferenceService, which owns it.

    Args:
        applied: the InferenceService as the cluster has it, with its uid.
    """
    if int(applied["spec"]["predictor"].get("minReplicas", 1)) < 2:  # noqa: PLR2004 - one pod is not spared
        return None
    metadata, match = applied["metadata"], {names.HANDLE_LABEL: handle_in(applied)}
    budget = disruption_budget(metadata["name"], metadata["namespace"], metadata["labels"], match)
    budget["metadata"]["ownerReferences"] = [
        {key: applied[key] for key in ("apiVersion", "kind")} | {k: metadata[k] for k in ("name", "uid")}
    ]
    return budget


def handle_in(manifest: Object) -> str:
    """The handle of one of our InferenceServices; empty of another."""
    return str(manifest["metadata"].get("labels", {}).get(names.HANDLE_LABEL, ""))


def identity_in(manifest: Object) -> Identity:
    """Who the InferenceService's model is.

    Raises:
        ValueError: it is not one of ours.
    """
    for container in manifest["spec"]["predictor"]["containers"]:
        for variable in container.get("env", []):
            if variable["name"] == IDENTITY_VARIABLE:
                return Identity.model_validate_json(variable["value"])
    raise ValueError(f"InferenceService {manifest['metadata']['name']} tells no {IDENTITY_VARIABLE}")


def _predictor(version: ServedVersion) -> Object:
    pods, folders = version.pods, empty_folders(models="1Gi", tmp="256Mi")
    mounts, volumes, beside = folders["mounts"], folders["volumes"], dict[str, Any]()
    if version.shipper_image:
        mounts, volumes = [*mounts, log_mount()], [*volumes, *shipper_volumes()]
        beside = {"initContainers": [shipper(version.shipper_image)]}
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
        "containers": [_container(version, mounts)],
    }


def _container(version: ServedVersion, mounts: list[Object]) -> Object:
    pods = version.pods
    return {
        "name": names.PREDICTOR_CONTAINER,
        "image": version.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lakeloop.serving.predictor"],
        "args": [
            *("--model-uri", version.model_uri),
            *("--model-folder", "/models/current"),
            *("--host", "0.0.0.0"),  # noqa: S104 - in a pod
            *("--port", str(names.PORT)),
            *("--grpc-port", str(names.GRPC_PORT)),
            *("--drain-seconds", str(DRAIN_SECONDS)),
            *(["--online-features"] if version.online_features else []),
            *(["--prediction-log", FOLDER] if version.shipper_image else []),
        ],
        "env": _environment(version),
        # The first is port 80 of the Service that KServe makes, the second has its own number there.
        "ports": [
            {"name": "http", "containerPort": names.PORT, "protocol": "TCP"},
            {"name": names.GRPC_PORT_NAME, "containerPort": names.GRPC_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": probe("/health/ready", 2, 3),
        # The port opens once the model is loaded: until then neither probe can pass, and only this one counts.
        "startupProbe": probe("/health/live", 2, 300),
        "livenessProbe": probe("/health/live", 10, 6),
        "resources": {
            "requests": {"cpu": pods.cpu, "memory": pods.memory},
            "limits": {"cpu": pods.cpu_limit, "memory": pods.memory_limit},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }


def _environment(version: ServedVersion) -> list[Object]:
    storage = [
        _from("configMapKeyRef", names.SETTINGS_CONFIG_MAP, name, optional=True)
        for name in _STORAGE_VARIABLES
    ]
    wanted = (*_CREDENTIALS, _ONLINE_STORE) if version.online_features else _CREDENTIALS
    credentials = [_from("secretKeyRef", names.CREDENTIALS_SECRET, name) for name in wanted]
    threads = [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "HOME", "value": "/tmp"}]  # noqa: S108
    told = {"name": IDENTITY_VARIABLE, "value": version.identity.canonical_json()}
    return [told, *threads, *storage, *credentials]


def _from(kind: str, source: str, key: str, *, optional: bool = False) -> Object:
    reference: Object = {"name": source, "key": key} | ({"optional": True} if optional else {})
    return {"name": key, "valueFrom": {kind: reference}}
