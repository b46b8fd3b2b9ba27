"""The operator's form of a step. `FIELDS`: what the CRD of spark-operator 2.4 (v1beta2) has for the fields in use."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pyspark
import pytest
import yaml
from typer.testing import CliRunner

from lakeloop.adapters.spark.on_kubernetes.spark_application import Application, spark_application
from lakeloop.cli.app import app
from lakeloop.cli.spark_application import _SPARK_VERSION
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.domain.use_case import UseCase

TEXT, TEXTS, COUNT = (
    {"type": "string"},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"type": "integer"},
)


def closed(required: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": fields}


POD = {
    "cores": {"type": "integer", "minimum": 1},
    "coreRequest": TEXT,
    "coreLimit": TEXT,
    "memory": TEXT,
    "memoryOverhead": TEXT,
    "labels": TEXTS,
    "nodeSelector": TEXTS,
    "priorityClassName": TEXT,
    "serviceAccount": TEXT,
    "tolerations": {"type": "array", "items": closed([], key=TEXT, operator=TEXT, value=TEXT, effect=TEXT)},
    "template": {"type": "object"},
}
FIELDS = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "sparkoperator.k8s.io/v1beta2"},
    kind={"const": "SparkApplication"},
    metadata=closed(["name", "namespace"], name=TEXT, namespace=TEXT, labels=TEXTS),
    spec=closed(
        ["driver", "executor", "mainApplicationFile", "sparkVersion", "type"],
        type={"enum": ["Java", "Python", "Scala", "R"]},
        mode={"enum": ["cluster", "client"]},
        pythonVersion={"enum": ["2", "3"]},
        image=TEXT,
        imagePullPolicy=TEXT,
        mainApplicationFile=TEXT,
        arguments={"type": "array", "items": TEXT},
        sparkVersion=TEXT,
        sparkConf=TEXTS,
        restartPolicy=closed([], type={"enum": ["Never", "Always", "OnFailure"]}),
        driver=closed([], **POD),
        executor=closed([], instances={"type": "integer", "minimum": 1}, **POD),
        dynamicAllocation=closed(
            [],
            enabled={"type": "boolean"},
            initialExecutors=COUNT,
            minExecutors=COUNT,
            maxExecutors=COUNT,
            shuffleTrackingEnabled={"type": "boolean"},
        ),
    ),
)


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
    jsonschema.validate(document, FIELDS)


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
    jsonschema.validate(document, FIELDS)
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
