"""One request -> Spark properties and the executors' pod template, as data."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lakeloop.adapters.spark.on_kubernetes.api import driver_pod
from lakeloop.adapters.spark.on_kubernetes.cluster import executor_request, sample_pod
from lakeloop.adapters.spark.on_kubernetes.executor_pod import SCRATCH, pod_template
from lakeloop.adapters.spark.on_kubernetes.properties import client_properties, pulling
from lakeloop.adapters.spark.on_kubernetes.request import DriverPod, ExecutorRequest, session_name
from lakeloop.domain.errors import UserError
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.settings import Settings

DRIVER = DriverPod(
    name="run-1-step",
    namespace="kubeflow",
    ip="10.244.0.9",
    image="lakeloop/spark:0.1.0",
    secret_env={
        "AWS_ACCESS_KEY_ID": ("lakeloop-credentials", "key"),
        "AWS_SESSION_TOKEN": ("lakeloop-credentials", "an optional key that is absent"),
        "PGPASSWORD": ("lakeloop-credentials", "pg"),
    },
)


def request(tasks: int | None = None, **resources: Any) -> ExecutorRequest:
    return ExecutorRequest(
        session="build-abc",
        driver=DRIVER,
        resources=SparkResources.model_validate(resources),
        image=DRIVER.image,
        tasks=tasks,
    )


def test_executors_belong_to_the_drivers_pod_and_find_it() -> None:
    properties = client_properties(request(), "/scratch/pod.json")
    expected = {
        "spark.submit.deployMode": "client",
        "spark.driver.host": "10.244.0.9",
        "spark.driver.port": "7078",
        "spark.blockManager.port": "7079",
        "spark.kubernetes.namespace": "kubeflow",
        "spark.kubernetes.driver.pod.name": "run-1-step",
        "spark.kubernetes.executor.podNamePrefix": "build-abc",
        "spark.kubernetes.executor.container.image": "lakeloop/spark:0.1.0",
        "spark.kubernetes.executor.podTemplateFile": "/scratch/pod.json",
        "spark.kubernetes.executor.label.lakeloop/spark-session": "build-abc",
    }
    assert expected.items() <= properties.items()


def test_the_load_moves_the_number_of_executors_within_bounds() -> None:
    properties = client_properties(request(executors={"min": 0, "max": 8, "idle_seconds": 30}), "")
    assert properties["spark.dynamicAllocation.enabled"] == "true"
    assert properties["spark.dynamicAllocation.shuffleTracking.enabled"] == "true"
    assert properties["spark.dynamicAllocation.minExecutors"] == "0"
    assert properties["spark.dynamicAllocation.maxExecutors"] == "8"
    assert properties["spark.dynamicAllocation.executorIdleTimeout"] == "30s"
    assert "spark.executor.instances" not in properties


def test_equal_bounds_are_a_fixed_number() -> None:
    properties = client_properties(request(executors={"min": 3, "max": 3}), "")
    assert properties["spark.dynamicAllocation.enabled"] == "false"
    assert properties["spark.executor.instances"] == "3"
    assert "spark.scheduler.minRegisteredResourcesRatio" not in properties


def test_tasks_that_run_at_once_wait_for_executors_for_all_of_them() -> None:
    wanted = request(tasks=5, executors={"max": 3, "cores": 2}, pending_timeout_seconds=40)
    properties = client_properties(wanted, "")
    assert wanted.needed == 3
    assert properties["spark.executor.instances"] == "3"
    assert properties["spark.dynamicAllocation.enabled"] == "false"
    assert properties["spark.scheduler.minRegisteredResourcesRatio"] == "1.0"
    assert properties["spark.scheduler.maxRegisteredResourcesWaitingTime"] == "40s"


def test_more_tasks_at_once_than_the_bound_has_room_for_are_refused() -> None:
    with pytest.raises(UserError, match=r"5 tasks at once need 5 executors .* spark.executors.max is 3"):
        request(tasks=5, executors={"max": 3})


def test_size_place_and_patience_are_the_use_cases() -> None:
    wanted = request(
        executors={
            "cores": 2,
            "cpu_request": "500m",
            "cpu_limit": "2",
            "memory_mib": 2048,
            "memory_overhead_mib": 700,
        },
        node_selector={"pool": "batch"},
        pending_timeout_seconds=90,
    )
    expected = {
        "spark.executor.cores": "2",
        "spark.executor.memory": "2048m",
        "spark.executor.memoryOverhead": "700m",
        "spark.kubernetes.executor.request.cores": "500m",
        "spark.kubernetes.executor.limit.cores": "2",
        "spark.kubernetes.executor.node.selector.pool": "batch",
        "spark.kubernetes.allocation.executor.timeout": "150s",
    }
    assert expected.items() <= client_properties(wanted, "").items()


@pytest.mark.parametrize(
    ("memory", "declared", "overhead"), [(512, None, 384), (4096, None, 1639), (4096, 256, 256)]
)
def test_memory_beside_the_heap_has_a_rule(memory: int, declared: int | None, overhead: int) -> None:
    executors = SparkResources.model_validate(
        {"executors": {"memory_mib": memory, "memory_overhead_mib": declared}}
    ).executors
    assert (executors.overhead_mib, executors.limit_mib) == (overhead, memory + overhead)


def test_executors_meet_pod_security_restricted() -> None:
    spec = pod_template(SparkResources())["spec"]
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["runAsNonRoot"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (
        security["seccompProfile"] == spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    )
    assert container["volumeMounts"][0]["mountPath"] == container["workingDir"] == SCRATCH
    assert spec["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    assert "tolerations" not in spec


def test_tolerations_and_priority_go_into_the_template() -> None:
    declared = SparkResources.model_validate(
        {
            "tolerations": [
                {"key": "spot", "operator": "Exists"},
                {"key": "team", "value": "risk", "effect": "NoSchedule"},
            ],
            "priority_class": "batch",
        }
    )
    spec = pod_template(declared)["spec"]
    assert spec["tolerations"] == [
        {"key": "spot", "operator": "Exists"},
        {"key": "team", "operator": "Equal", "value": "risk", "effect": "NoSchedule"},
    ]
    assert spec["priorityClassName"] == "batch"


def test_credentials_travel_as_references_and_only_those_of_the_object_store() -> None:
    environment = {
        "AWS_REGION": "eu-1",
        "AWS_ACCESS_KEY_ID": "s3cr3t",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "PGPASSWORD": "s3cr3t",
        "HOME": "/root",
    }
    settings = Settings(spark_executor_secrets={"LAKE_TOKEN": "other:token"})
    wanted = executor_request(settings, DRIVER, SparkResources(), None, "s", environment)
    properties = client_properties(wanted, "")
    prefix = "spark.kubernetes.executor.secretKeyRef."
    assert {k.removeprefix(prefix): v for k, v in properties.items() if k.startswith(prefix)} == {
        "AWS_ACCESS_KEY_ID": "lakeloop-credentials:key",
        "LAKE_TOKEN": "other:token",
    }
    assert properties["spark.executorEnv.AWS_REGION"] == "eu-1"
    assert "s3cr3t" not in str(properties)


def test_executors_run_the_steps_own_image_unless_another_is_named() -> None:
    def image(settings: Settings) -> str:
        return executor_request(settings, DRIVER, SparkResources(), None, "s", {}).image

    assert image(Settings()) == "lakeloop/spark:0.1.0"
    assert image(Settings(spark_executor_image="other:1")) == "other:1"


def test_the_driver_is_the_steps_container_not_the_sidecar() -> None:
    document = {
        "metadata": {"name": "p", "namespace": "kubeflow"},
        "spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [
                {"name": "wait", "image": "argoexec"},
                {
                    "name": "main",
                    "image": "lakeloop/spark:1",
                    "imagePullPolicy": "Always",
                    "env": [
                        {"name": "A", "value": "1"},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    ],
                },
            ],
        },
        "status": {"podIP": "10.0.0.1"},
    }
    found = driver_pod(document, "1.1.1.1")
    assert found == DriverPod(
        "p", "kubeflow", "10.0.0.1", "lakeloop/spark:1", {"B": ("s", "k")}, ("registry",), "Always"
    )
    properties = pulling(found)
    assert properties["spark.kubernetes.container.image.pullSecrets"] == "registry"
    assert properties["spark.kubernetes.container.image.pullPolicy"] == "Always"


def test_the_sample_pod_asks_for_what_an_executor_would() -> None:
    sample = sample_pod(request(executors={"memory_mib": 1000, "memory_overhead_mib": 200, "cpu_limit": "1"}))
    assert sample["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1", "memory": "1200Mi"},
        "limits": {"memory": "1200Mi", "cpu": "1"},
    }


@pytest.mark.parametrize("app", ["build_training_set card_fraud", "x" * 90, "9 lives", "-", "Ünïcode"])
def test_session_names_are_dns_labels_that_leave_room(app: str) -> None:
    name = session_name(app, "a-pod", "1")
    assert len(name) <= 47
    assert name[0].isalpha()
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert name != session_name(app, "a-pod", "2")


def test_every_property_is_one_that_spark_knows() -> None:
    import pyspark

    jars = Path(pyspark.__file__).parent / "jars"
    names = (
        zipfile.ZipFile(next(jars.glob("spark-kubernetes_*.jar"))).read(
            "org/apache/spark/deploy/k8s/Config$.class"
        )
        + zipfile.ZipFile(next(jars.glob("spark-core_*.jar"))).read(
            "org/apache/spark/internal/config/package$.class"
        )
        + zipfile.ZipFile(next(jars.glob("spark-catalyst_*.jar"))).read(
            "org/apache/spark/sql/internal/SQLConf$.class"
        )
    )
    wanted = request(tasks=2, executors={"cpu_limit": "1"}, node_selector={"a": "b"})
    properties = {**client_properties(wanted, ""), **client_properties(request(executors={"min": 0}), "")}
    prefixes = ("spark.kubernetes.executor.label.", "spark.kubernetes.executor.node.selector.")
    plain = {k for k in properties if not k.startswith(prefixes)} | {p.rstrip(".") for p in prefixes}
    assert [k for k in sorted(plain) if k.encode() not in names] == []


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"executors": {"min": 3, "max": 2}}, "min 3 is greater than max 2"),
        ({"tolerations": [{"operator": "Equal"}]}, "an empty key needs operator Exists"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "Exists takes no value"),
        ({"executors": {"cpu_request": "1 core"}}, "cpu_request"),
    ],
)
def test_a_wrong_section_is_told(section: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SparkResources.model_validate(section)
