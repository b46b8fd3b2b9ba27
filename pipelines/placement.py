"""What every step's pod has in common, wherever it runs: settings, credentials, labels, modest requests.

A ConfigMap `lakeloop-settings` and a Secret `lakeloop-credentials` in the namespace of the runs say where and by whose
leave, a key a variable (`lakeloop.mounts`). Both are optional mounts, so that the same compiled file runs where neither
exists: on one machine. They are no variables of the container: Kubeflow Pipelines 2.14 drops `optional` there.
"""

from __future__ import annotations

from typing import Final

from kfp import dsl

SETTINGS: Final = "lakeloop-settings"
CREDENTIALS: Final = "lakeloop-credentials"
SETTINGS_FOLDER: Final = "/etc/lakeloop/settings"
CREDENTIALS_FOLDER: Final = "/etc/lakeloop/credentials"


def placed(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a step what it needs on a cluster."""
    from kfp import kubernetes

    task.set_cpu_request("100m").set_memory_request("512Mi")
    kubernetes.use_config_map_as_volume(task, SETTINGS, mount_path=SETTINGS_FOLDER, optional=True)
    kubernetes.use_secret_as_volume(task, CREDENTIALS, mount_path=CREDENTIALS_FOLDER, optional=True)
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "lakeloop")
    kubernetes.add_pod_label(task, "app.kubernetes.io/component", "step")
    return task
