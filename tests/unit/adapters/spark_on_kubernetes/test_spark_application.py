"""The operator's form of a step, as spark-operator 2.4 (v1beta2) reads it."""

from __future__ import annotations

import json
from typing import Any

import pyspark
import pytest
import yaml
from kubeflow_spark_api.models.spark_v1beta2_spark_application import SparkV1beta2SparkApplication
from typer.testing import CliRunner

from lakeloop.adapters.spark.on_kubernetes.spark_application import Application, spark_application
from lakeloop.cli.app import app
from lakeloop.cli.spark_application import _SPARK_VERSION
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.domain.use_case import UseCase


def as_the_operator_reads_it(document: dict[str, Any]) -> dict[str, Any]:
    """Through the operator's own models, made of its CRD: wrong types are refused, unknown fields lost."""
    read = SparkV1beta2SparkApplication.from_dict(document)
    assert read is not None
    return read.to_dict()


def application() -> Application:
    return Application(
        name="fraud-1",
        namespace="kubeflow",
        image="lakeloop/spark:0.1.0",
        service_account="lakeloop-steps",
        main_file="/opt/code/step.py",
        arguments=("--a", "1"),
        spark_version="4.1.4",
    )


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"executors": {"min": 2, "max": 2, "cpu_limit": "2", "cpu_request": "500m"}},
        {
            "node_selector": {"pool": "batch"},
            "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
            "priority_class": "batch",
        },
    ],
)
def test_every_field_is_one_of_the_crd(declared: dict[str, Any]) -> None:
    document = spark_application(application(), SparkResources.model_validate(declared))
    assert as_the_operator_reads_it(document) == document


def test_executors_are_those_of_the_client_mode() -> None:
    declared = SparkResources.model_validate(
        {"executors": {"min": 1, "max": 6, "memory_mib": 2000, "idle_seconds": 9}}
    )
    spec = spark_application(application(), declared)["spec"]
    assert spec["executor"]["memory"] == "2000m"
    assert spec["executor"]["memoryOverhead"] == "800m"
    assert spec["dynamicAllocation"]["maxExecutors"] == 6
    assert spec["sparkConf"]["spark.dynamicAllocation.executorIdleTimeout"] == "9s"
    (container,) = spec["executor"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["executor"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_credentials_are_references() -> None:
    spec = spark_application(application(), SparkResources())["spec"]
    (driver,) = spec["driver"]["template"]["spec"]["containers"]
    (executor,) = spec["executor"]["template"]["spec"]["containers"]
    assert {"secretRef": {"name": "lakeloop-credentials", "optional": True}} in driver["envFrom"]
    assert [e["valueFrom"]["secretKeyRef"]["key"] for e in executor["env"]] == [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ]
    assert "secretRef" not in json.dumps(executor)


def test_the_command_prints_a_step_that_can_be_applied() -> None:
    result = CliRunner().invoke(app, ["spark-application", "card_fraud", "--run-id", "by-hand-1"])
    assert result.exit_code == 0, result.output
    document = yaml.safe_load(result.stdout)
    assert as_the_operator_reads_it(document) == document
    arguments = document["spec"]["arguments"]
    use_case = UseCase.model_validate_json(arguments[arguments.index("--use-case") + 1])
    assert use_case.name == "card_fraud"
    assert document["metadata"]["name"] == "card-fraud-by-hand-1"
    assert document["spec"]["mainApplicationFile"].endswith("/components/build_training_set/__main__.py")


def test_a_run_id_that_is_no_name_is_bad_input() -> None:
    result = CliRunner().invoke(app, ["spark-application", "card_fraud", "--run-id", "By Hand"])
    assert "is no name for a Kubernetes object" in str(result.exception)


def test_the_version_is_the_locked_one() -> None:
    assert pyspark.__version__ == _SPARK_VERSION
