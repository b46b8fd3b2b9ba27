"""One session's request -> Spark properties: client mode in a pod, executors as pods owned by it.

Names: Spark 4.1, "Running Spark on Kubernetes" and "Dynamic resource allocation".
"""

from __future__ import annotations

from lakeloop.adapters.spark.on_kubernetes.executor_pod import CONTAINER
from lakeloop.adapters.spark.on_kubernetes.request import LABELS, SESSION_LABEL, DriverPod, ExecutorRequest
from lakeloop.domain.spark_resources import Executors, SparkResources

DRIVER_PORT, BLOCK_MANAGER_PORT = 7078, 7079
API_TIMEOUT_MS = 60_000  # a busy API server is late more often than it is away
_ALLOCATION_BATCH = 10
_LEAST_SHUFFLE_PARTITIONS = 16
_SLACK_SECONDS = 60


def client_properties(request: ExecutorRequest, pod_template_file: str) -> dict[str, str]:
    """Properties of a driver in a pod.

    Args:
        request: what is wanted.
        pod_template_file: path of the file that holds `executor_pod.pod_template`.
    """
    prefix = "spark.kubernetes"
    return {
        **driver_address(request.driver.ip),
        "spark.submit.deployMode": "client",
        f"{prefix}.driver.connectionTimeout": str(API_TIMEOUT_MS),
        f"{prefix}.driver.requestTimeout": str(API_TIMEOUT_MS),
        f"{prefix}.allocation.driver.readinessTimeout": "10s",
        f"{prefix}.namespace": request.driver.namespace,
        f"{prefix}.driver.pod.name": request.driver.name,
        f"{prefix}.executor.podNamePrefix": request.session,
        f"{prefix}.executor.container.image": request.image,
        **pulling(request.driver),
        f"{prefix}.executor.podTemplateFile": pod_template_file,
        f"{prefix}.executor.podTemplateContainerName": CONTAINER,
        **labels(request.session),
        **_own_cleaning(),
        **executor_size(request.resources.executors),
        **node_selector(request.resources),
        **executor_env(request),
        **numbers(request),
    }


def driver_address(ip: str) -> dict[str, str]:
    """Fixed ports, so that a network policy can name them."""
    return {
        "spark.driver.host": ip,
        "spark.driver.bindAddress": "0.0.0.0",  # noqa: S104 - executors connect from other pods
        "spark.driver.port": str(DRIVER_PORT),
        "spark.blockManager.port": str(BLOCK_MANAGER_PORT),
    }


def pulling(driver: DriverPod) -> dict[str, str]:
    """Executors' images are pulled as the step's was."""
    prefix = "spark.kubernetes.container.image"
    policy = {f"{prefix}.pullPolicy": driver.pull_policy}
    return policy | ({f"{prefix}.pullSecrets": ",".join(driver.pull_secrets)} if driver.pull_secrets else {})


def labels(session: str) -> dict[str, str]:
    """Labels of executor pods."""
    return {
        f"spark.kubernetes.executor.label.{name}": value
        for name, value in {**LABELS, SESSION_LABEL: session}.items()
    }


def _own_cleaning() -> dict[str, str]:
    """Ended pods stay until their end was read (`watch.py` removes them); nothing but pods is ever made."""
    prefix = "spark.kubernetes"
    return {
        f"{prefix}.executor.deleteOnTermination": "false",
        f"{prefix}.executor.disableConfigMap": "true",
        f"{prefix}.driver.service.deleteOnTermination": "false",
        f"{prefix}.driver.ownPersistentVolumeClaim": "false",
        f"{prefix}.driver.reusePersistentVolumeClaim": "false",
    }


def executor_size(executors: Executors) -> dict[str, str]:
    """Cores and memory of one executor."""
    size = {
        "spark.executor.cores": str(executors.cores),
        "spark.executor.memory": f"{executors.memory_mib}m",
        "spark.executor.memoryOverhead": f"{executors.overhead_mib}m",
        "spark.kubernetes.executor.request.cores": executors.cpu_request or str(executors.cores),
        "spark.executor.extraJavaOptions": "-XX:-UsePerfData -Duser.timezone=UTC -Djava.net.preferIPv4Stack=true",
    }
    return size | (
        {"spark.kubernetes.executor.limit.cores": executors.cpu_limit} if executors.cpu_limit else {}
    )


def node_selector(resources: SparkResources) -> dict[str, str]:
    """Labels that a node must have."""
    return {
        f"spark.kubernetes.executor.node.selector.{key}": value
        for key, value in resources.node_selector.items()
    }


def executor_env(request: ExecutorRequest) -> dict[str, str]:
    """Environment of executors: values where they are no secret, else references."""
    plain = {f"spark.executorEnv.{name}": value for name, value in request.env.items()}
    return plain | {
        f"spark.kubernetes.executor.secretKeyRef.{name}": f"{secret}:{key}"
        for name, (secret, key) in request.secret_env.items()
    }


def numbers(request: ExecutorRequest) -> dict[str, str]:
    """How many executors: bounds that the load moves in, or a number, which tasks that run at once wait for."""
    executors, limit = request.resources.executors, request.resources.pending_timeout_seconds
    most = request.fixed or executors.max
    common = {
        "spark.kubernetes.allocation.batch.size": str(min(most, _ALLOCATION_BATCH)),
        # Spark's own clock for a pod that never reports must not run out before ours, which tells the reason.
        "spark.kubernetes.allocation.executor.timeout": f"{limit + _SLACK_SECONDS}s",
        "spark.sql.shuffle.partitions": str(max(_LEAST_SHUFFLE_PARTITIONS, 4 * most * executors.cores)),
    }
    if not request.fixed:
        return common | dynamic(executors)
    together = {
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{limit}s",
    }
    fixed = {"spark.dynamicAllocation.enabled": "false", "spark.executor.instances": str(request.fixed)}
    return common | fixed | (together if request.tasks is not None else {})


def dynamic(executors: Executors) -> dict[str, str]:
    """Executors follow the waiting tasks; shuffle files keep theirs alive while they may be read."""
    return {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": str(executors.min),
        "spark.dynamicAllocation.initialExecutors": str(executors.min),
        "spark.dynamicAllocation.maxExecutors": str(executors.max),
        "spark.dynamicAllocation.executorIdleTimeout": f"{executors.idle_seconds}s",
        "spark.dynamicAllocation.cachedExecutorIdleTimeout": f"{10 * executors.idle_seconds}s",
        "spark.dynamicAllocation.shuffleTracking.timeout": f"{10 * executors.idle_seconds}s",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "1s",
    }
