"""The operator's form of a Spark step: a `SparkApplication` (sparkoperator.k8s.io/v1beta2) from the same pure pieces.

For clusters where the Spark operator starts Spark (cluster mode). Under it, the step finds a session that is submitted
already, and the pods are the operator's to watch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakeloop.adapters.spark.on_kubernetes.executor_pod import (
    SCRATCH,
    container_security,
    pod_security,
    pod_template,
    toleration,
)
from lakeloop.adapters.spark.on_kubernetes.properties import dynamic, executor_size
from lakeloop.adapters.spark.on_kubernetes.request import LABELS
from lakeloop.domain.spark_resources import SparkResources

API_VERSION, KIND = "sparkoperator.k8s.io/v1beta2", "SparkApplication"
DRIVER_CONTAINER = "spark-kubernetes-driver"
DRIVER_MEMORY_MIB, DRIVER_OVERHEAD_MIB = 1024, 512
OBJECT_STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_DYNAMIC_PREFIX = "spark.dynamicAllocation."
_IN_SECTION = {"enabled", "minExecutors", "initialExecutors", "maxExecutors", "shuffleTracking.enabled"}


@dataclass(frozen=True)
class Application:
    """What runs, and where.

    Args:
        name: of the object, a DNS label.
        namespace: of the object and its pods.
        image: of driver and executors.
        service_account: of the driver.
        main_file: Python file inside the image.
        arguments: its command line.
        spark_version: of Spark in the image.
        settings: ConfigMap with the LAKELOOP_* and AWS_* variables.
        credentials: Secret with the variables that are secret.
    """

    name: str
    namespace: str
    image: str
    service_account: str
    main_file: str
    arguments: Sequence[str]
    spark_version: str
    settings: str = "lakeloop-settings"
    credentials: str = "lakeloop-credentials"


def spark_application(application: Application, resources: SparkResources) -> dict[str, Any]:
    """The document for `kubectl apply`."""
    spec = {
        "type": "Python",
        "pythonVersion": "3",
        "mode": "cluster",
        "image": application.image,
        "imagePullPolicy": "IfNotPresent",
        "mainApplicationFile": f"local://{application.main_file}",
        "arguments": list(application.arguments),
        "sparkVersion": application.spark_version,
        "restartPolicy": {"type": "Never"},
        "sparkConf": _conf(resources),
        "driver": _driver(application),
        "executor": _executor(application, resources),
        "dynamicAllocation": _dynamic_allocation(resources),
    }
    metadata = {"name": application.name, "namespace": application.namespace, "labels": {**LABELS, **_STEP}}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


_STEP = {"app.kubernetes.io/component": "step"}


def _conf(resources: SparkResources) -> dict[str, str]:
    """Properties that the resource has no field for."""
    size = executor_size(resources.executors)
    load = dynamic(resources.executors)
    return {
        "spark.executor.extraJavaOptions": size["spark.executor.extraJavaOptions"],
        **{k: v for k, v in load.items() if k.removeprefix(_DYNAMIC_PREFIX) not in _IN_SECTION},
    }


def _driver(application: Application) -> dict[str, Any]:
    container = {
        "name": DRIVER_CONTAINER,
        "envFrom": [
            {"configMapRef": {"name": application.settings, "optional": True}},
            {"secretRef": {"name": application.credentials, "optional": True}},
        ],
        "workingDir": SCRATCH,
        "securityContext": container_security(),
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }
    pod = {
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    return {
        "cores": 1,
        "memory": f"{DRIVER_MEMORY_MIB}m",
        "memoryOverhead": f"{DRIVER_OVERHEAD_MIB}m",
        "serviceAccount": application.service_account,
        "labels": {**LABELS, **_STEP},
        "template": {"spec": pod},
    }


def _executor(application: Application, resources: SparkResources) -> dict[str, Any]:
    executors = resources.executors
    template = pod_template(resources)["spec"]
    template["containers"][0]["env"] = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": application.credentials, "key": key}}}
        for key in OBJECT_STORE_KEYS
    ]
    template["containers"][0]["envFrom"] = [
        {"configMapRef": {"name": application.settings, "optional": True}}
    ]
    optional: dict[str, Any] = {
        "coreLimit": executors.cpu_limit,
        "nodeSelector": dict(resources.node_selector),
        "tolerations": [toleration(t) for t in resources.tolerations],
        "priorityClassName": resources.priority_class,
    }
    return {
        "instances": max(1, executors.min),
        "cores": executors.cores,
        "coreRequest": executors.cpu_request or str(executors.cores),
        "memory": f"{executors.memory_mib}m",
        "memoryOverhead": f"{executors.overhead_mib}m",
        "labels": dict(LABELS),
        "template": {"spec": template},
        **{name: value for name, value in optional.items() if value},
    }


def _dynamic_allocation(resources: SparkResources) -> dict[str, Any]:
    executors = resources.executors
    if executors.min == executors.max:
        return {"enabled": False}
    return {
        "enabled": True,
        "initialExecutors": executors.min,
        "minExecutors": executors.min,
        "maxExecutors": executors.max,
        "shuffleTrackingEnabled": True,
    }
