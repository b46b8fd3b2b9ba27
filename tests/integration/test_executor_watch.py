"""The watch ends a real job of a real session when the cluster gives no executors."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from lakeloop.adapters.spark.failures import spark_failures
from lakeloop.adapters.spark.on_kubernetes.api import Pods
from lakeloop.adapters.spark.on_kubernetes.cluster import attach
from lakeloop.adapters.spark.on_kubernetes.pods import ExecutorPod
from lakeloop.adapters.spark.on_kubernetes.request import DriverPod, ExecutorRequest
from lakeloop.adapters.spark.on_kubernetes.watch import ExecutorWatch
from lakeloop.domain.spark_resources import SparkResources

pytestmark = pytest.mark.spark
JOB_SECONDS = 30


class NoRoom:
    """A cluster where the session's one pod stays Pending."""

    def executors(self, selector: str) -> list[ExecutorPod]:  # noqa: ARG002
        return [ExecutorPod("e-1", "pending", "Unschedulable", "0/3 nodes are available")]

    def delete_all(self, selector: str, grace_seconds: int) -> None: ...


def test_a_job_that_waits_for_executors_is_ended_with_the_reason(spark_lake: Any) -> None:
    resources = SparkResources(pending_timeout_seconds=5)
    request = ExecutorRequest("s-1", DriverPod("d", "ns", "1.1.1.1", "image"), resources, "image")
    watch = ExecutorWatch(cast("Pods", NoRoom()), request, {}, lambda _: None)
    attach(watch, spark_lake.spark)
    watch.start()
    started = time.monotonic()
    try:
        with pytest.raises(spark_failures(), match=r"(?i)cancel") as caught:
            spark_lake.spark.sparkContext.range(0, 2, 1, 2).map(
                lambda n: __import__("time").sleep(30) or n
            ).sum()
    finally:
        watch.end()
    assert time.monotonic() - started < JOB_SECONDS
    error = watch.explained(caught.value)
    assert error is not None
    assert "0/3 nodes are available" in error.problem
