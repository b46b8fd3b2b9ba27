"""What every step's pod has in common, wherever it runs: settings, credentials, labels, modest requests.

A ConfigMap `lakeloop-settings` (keys LAKELOOP_* of `lakeloop.settings`, and the AWS_* ones below) and a Secret
`lakeloop-credentials` in the namespace of the runs say where and by whose leave. Both are optional, so that the same
compiled file runs where neither exists: on one machine.
"""

from __future__ import annotations

from typing import Final

from kfp import dsl

SETTINGS: Final = "lakeloop-settings"
CREDENTIALS: Final = "lakeloop-credentials"
SETTINGS_FOLDER: Final = "/etc/lakeloop/settings"
CREDENTIALS_FOLDER: Final = "/etc/lakeloop/credentials"
PLACES: Final = ("AWS_ENDPOINT_URL", "AWS_REGION")
"""Read by every S3 client, so that they are variables; everything of lakeloop's own is read from the folder."""
KEYS: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PGPASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)


def placed(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a step what it needs on a cluster."""
    from kfp import kubernetes

    task.set_cpu_request("100m").set_memory_request("512Mi")
    kubernetes.use_config_map_as_volume(task, SETTINGS, mount_path=SETTINGS_FOLDER, optional=True)
    kubernetes.use_secret_as_volume(task, CREDENTIALS, mount_path=CREDENTIALS_FOLDER, optional=True)
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in PLACES}, optional=True)
    kubernetes.use_secret_as_env(task, CREDENTIALS, {name: name for name in KEYS}, optional=True)
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "lakeloop")
    kubernetes.add_pod_label(task, "app.kubernetes.io/component", "step")
    return task
