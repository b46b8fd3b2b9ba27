"""The container beside a predictor that brings its prediction log into Iceberg.

Both see one folder of the pod's, which outlives either container. It is a native sidecar (an init container with
`restartPolicy: Always`, Kubernetes 1.29): it starts before the predictor and ends after it, so that its last pass finds
every segment closed. It alone has the catalog's settings and credentials.
"""

from __future__ import annotations

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.pods import CONTAINER_SECURITY, Object
from lakeloop.mounts import DEFAULT_MOUNTS

FOLDER = "/prediction-log"
_SETTINGS, _CREDENTIALS = DEFAULT_MOUNTS
_EVERY_SECONDS = 30


def shipper(image: str) -> Object:
    """The container; a pass loads pyiceberg and ends again, between passes it takes 20 MiB."""
    return {
        "name": names.SHIPPER_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["python", "-m", "lakeloop.serving.prediction_log"],
        "args": ["--folder", FOLDER, "--every-seconds", str(_EVERY_SECONDS)],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "OMP_NUM_THREADS", "value": "1"}],  # noqa: S108
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "768Mi"},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            log_mount(),
            {"name": "shipper-tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "settings", "mountPath": _SETTINGS, "readOnly": True},
            {"name": "credentials", "mountPath": _CREDENTIALS, "readOnly": True},
        ],
    }


def log_mount() -> Object:
    """Of the folder that both containers see."""
    return {"name": "prediction-log", "mountPath": FOLDER}


def shipper_volumes() -> list[Object]:
    """What the two containers need of the pod."""
    return [
        {"name": "prediction-log", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "shipper-tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": "settings", "configMap": {"name": names.SETTINGS_CONFIG_MAP}},
        {"name": "credentials", "secret": {"secretName": names.CREDENTIALS_SECRET}},
    ]
