"""Everything readable that a run leaves behind, and which Secrets' values stand in it."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.endpoint_place import object_store, store_client
from tests.e2e.spark_place import kubectl

SECRETS = (("lakeloop", "postgres"), ("lakeloop", "valkey"), ("lakeloop", "lakeloop-credentials"))
SHORTEST = 8
"""Kubeflow Pipelines' own access key is the word minio, which is in every address of the store."""
STEPS_OBJECTS = "pods,workflows.argoproj.io,configmaps,events"
LARGEST_BYTES = 64 * 2**20

Found = Iterator[tuple[str, bytes]]


def told_secrets(seen: bytes) -> list[str]:
    """Names of the Secrets' keys whose values are in there."""
    assert _values()
    return [name for name, value in _values() if value in seen]


def of_a_run(run_id: str) -> Found:
    """Place and content: the run's objects, with the pipeline in them, and its pods' logs."""
    at = ("-n", "kubeflow")
    objects = kubectl(*at, "get", STEPS_OBJECTS, "-o", "yaml")
    yield STEPS_OBJECTS, objects.encode()
    listed = kubectl(*at, "get", "pods", "-l", f"pipeline/runid={run_id}", "-o", "name")
    for name in listed.split():
        yield f"log of {name}", kubectl(*at, "logs", name, "--all-containers").encode()


def of_the_store(marks: tuple[str, ...]) -> Found:
    """Objects of both buckets whose key holds one of the marks, e.g. a run id."""
    with object_store() as place:
        store = store_client(*place)
        for bucket in ("lakeloop", "mlpipeline"):
            for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for one in page.get("Contents", []):
                    if one["Size"] <= LARGEST_BYTES and any(mark in one["Key"] for mark in marks):
                        read = store.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
                        yield f"s3://{bucket}/{one['Key']}", read


def of_mlflow(client: Any, mlflow_run_id: str, folder: Path) -> Found:
    """The run's record, and each of its artifacts."""
    run = client.get_run(mlflow_run_id)
    yield "MLflow run", json.dumps(run.to_dictionary(), default=str).encode()
    client.download_artifacts(mlflow_run_id, "", str(folder))
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield f"MLflow artifact {file.relative_to(folder)}", file.read_bytes()


@functools.cache
def _values() -> tuple[tuple[str, bytes], ...]:
    found = []
    for namespace, name in SECRETS:
        data = json.loads(kubectl("-n", namespace, "get", "secret", name, "-o", "json"))["data"]
        found += [(f"{name}.{key}", base64.b64decode(text).strip()) for key, text in data.items()]
    return tuple((name, value) for name, value in found if len(value) >= SHORTEST)
