"""Pods' statuses and Spark's words -> one class, one sentence, one thing to do."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.adapters.spark.on_kubernetes.diagnosis import (
    Loss,
    hopeless,
    loss_class,
    loss_error,
    pending_class,
    pending_error,
    short,
    told,
)
from lakeloop.adapters.spark.on_kubernetes.pods import ExecutorPod, executor_pod
from lakeloop.domain.spark_resources import Executors

NO_NODE = "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available."
STAGE_FAILED = (
    "Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times, most recent failure: Lost task 0.3 "
    "(executor 7): ExecutorLostFailure (executor 7 exited caused by one of the running tasks) Reason: exit code 137"
)


def document(phase: str, state: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": phase, **more.pop("status", {})}
    if state:
        status["containerStatuses"] = [{"state": state}]
    spec = {"containers": [{"resources": {"limits": {"memory": "1434Mi"}}}]}
    return {"metadata": {"name": "exec-1", **more}, "spec": spec, "status": status}


def unschedulable(message: str = NO_NODE) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return document("Pending", status={"conditions": [condition]})


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return document("Pending", {"waiting": {"reason": reason, "message": message}})


def ended(exit_code: int, reason: str = "Error") -> dict[str, Any]:
    return document("Failed", {"terminated": {"exitCode": exit_code, "reason": reason}})


@pytest.mark.parametrize(
    ("pod", "phase", "reason"),
    [
        (unschedulable(), "pending", "Unschedulable"),
        (waiting("ContainerCreating"), "pending", ""),
        (waiting("ErrImagePull", "no such image"), "pending", "ErrImagePull"),
        (document("Running", {"running": {}}), "running", ""),
        (ended(137, "OOMKilled"), "failed", "OOMKilled"),
        # The kubelet tells the container's end before the pod's phase changes.
        (document("Running", {"terminated": {"exitCode": 52, "reason": "Error"}}), "failed", "Error"),
        (
            document("Running", {"terminated": {"exitCode": 0, "reason": "Completed"}}),
            "succeeded",
            "Completed",
        ),
        (document("Failed", status={"reason": "Evicted", "message": "low on memory"}), "failed", "Evicted"),
        (document("Running", {"running": {}}, deletionTimestamp="2026-01-01T00:00:00Z"), "deleting", ""),
    ],
)
def test_a_pod_says_where_it_stands(pod: dict[str, Any], phase: str, reason: str) -> None:
    read = executor_pod(pod)
    assert (read.phase, read.reason) == (phase, reason)
    assert read.memory_limit == "1434Mi"


@pytest.mark.parametrize(
    ("pod", "kind", "said", "advice"),
    [
        (unschedulable(), "unschedulable", "1 Insufficient memory", "spark.executors.memory_mib"),
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "nowhere/spark:1"'),
            "image_pull",
            "image lakeloop/spark:0.1.0 cannot be pulled (ImagePullBackOff): Back-off",
            "LAKELOOP_SPARK_EXECUTOR_IMAGE",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "lakeloop-credentials" not found'),
            "configuration",
            'secret "lakeloop-credentials" not found',
            "Secret",
        ),
        (document("Pending"), "starting", "no reason is given", "kubectl describe pod exec-1"),
    ],
)
def test_pods_that_stay_pending_end_with_the_clusters_reason(
    pod: dict[str, Any], kind: str, said: str, advice: str
) -> None:
    read = executor_pod(pod)
    assert pending_class(read) == kind
    error = pending_error(
        [read],
        [],
        needed=2,
        limit_seconds=60,
        executors=Executors(),
        not_created="",
        image="lakeloop/spark:0.1.0",
    )
    assert "after 60 s 0 of 2 executors run" in error.problem
    assert said in error.problem
    assert advice in error.fix
    assert "\n" not in str(error)


def test_a_refused_pod_is_told_in_the_api_servers_words() -> None:
    quota = 'pods "build-x" is forbidden: exceeded quota: compute, requested: limits.memory=1434Mi'
    error = pending_error(
        [], [], needed=1, limit_seconds=30, executors=Executors(), not_created=quota, image="i"
    )
    assert "no executor pod was created" in error.problem
    assert "exceeded quota: compute" in error.problem
    assert "quota" in error.fix


@pytest.mark.parametrize(
    ("pod", "tail", "kind"),
    [
        (ended(137, "OOMKilled"), (), "oom_killed"),
        (ended(52), (), "java_heap"),
        (ended(1), ("java.lang.OutOfMemoryError: Java heap space",), "java_heap"),
        (document("Failed", status={"reason": "Evicted", "message": "disk"}), (), "evicted"),
        (ended(137), (), "exit_code"),
        (ended(1), ("Exception in thread",), "exit_code"),
    ],
)
def test_how_an_executor_ended(pod: dict[str, Any], tail: tuple[str, ...], kind: str) -> None:
    assert loss_class(Loss(executor_pod(pod), tail)) == kind


def test_repeated_oom_kills_name_the_field_to_raise_and_the_last_lines() -> None:
    losses = [
        Loss(executor_pod(ended(137, "OOMKilled")), ("INFO one", "INFO two", "INFO three", "INFO four"))
    ] * 4
    error = loss_error(losses, STAGE_FAILED, Executors(memory_mib=1024))
    assert error is not None
    assert (
        "4 executors were lost, Spark gave up: killed for using more memory than its limit (1434Mi)"
        in error.problem
    )
    assert "INFO two | INFO three | INFO four" in error.problem
    assert error.fix.startswith("raise spark.executors.memory_overhead_mib (now 410)")


def test_a_full_heap_names_the_heap() -> None:
    said = "Job aborted: java.lang.OutOfMemoryError: Java heap space"
    error = loss_error(
        [Loss(executor_pod(ended(52)), ("Uncaught exception",))], said, Executors(memory_mib=700)
    )
    assert error is not None
    assert "Java heap (700 MiB)" in error.problem
    assert "spark.executors.memory_mib" in error.fix


def test_a_killed_python_worker_is_told_as_memory() -> None:
    said = "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)"
    error = loss_error([], said, Executors(memory_mib=512, memory_overhead_mib=384))
    assert error is not None
    assert "memory limit (896Mi)" in error.problem
    assert error.fix.startswith("raise spark.executors.memory_overhead_mib (now 384)")


def test_an_exit_code_is_told_with_its_signal() -> None:
    error = loss_error([Loss(executor_pod(ended(143)), ("bye",))], STAGE_FAILED, Executors())
    assert error is not None
    assert "exit code 143 (signal 15)" in error.problem
    assert "bye" in error.problem


@pytest.mark.parametrize(
    "said",
    [
        '[CAST_INVALID_INPUT] The value \'x\' of the type "STRING" cannot be cast to "INT"',
        "[DIVIDE_BY_ZERO] Division by zero",
    ],
)
def test_wrong_data_stays_wrong_data_though_an_executor_was_lost_before(said: str) -> None:
    lost = [Loss(executor_pod(ended(137, "OOMKilled")))]
    assert loss_error(lost, said, Executors()) is None
    assert loss_error([], said, Executors()) is None


def test_a_driver_that_gave_up_is_explained_by_the_executors() -> None:
    lost = [Loss(executor_pod(ended(137, "OOMKilled")))] * 3
    error = loss_error(lost, "Answer from Java side is empty", Executors())
    assert error is not None
    assert "3 executors were lost" in error.problem


RUNNING, PENDING = ExecutorPod("r", "running"), ExecutorPod("p", "pending", "Unschedulable", NO_NODE)


@pytest.mark.parametrize(
    ("pods", "needed", "busy", "expected"),
    [
        ([], 1, True, True),
        ([], 1, False, False),
        ([PENDING], 1, False, True),
        ([RUNNING], 1, True, False),
        ([RUNNING, PENDING], 1, True, False),
        ([RUNNING, PENDING], 2, True, True),
        ([ExecutorPod("d", "deleting")], 1, True, True),
    ],
)
def test_too_few_executors(pods: list[ExecutorPod], needed: int, busy: bool, expected: bool) -> None:
    assert short(pods, needed, busy=busy) is expected


def test_a_name_that_is_no_image_is_not_waited_for() -> None:
    assert hopeless([ExecutorPod("p", "pending", "InvalidImageName")])
    assert not hopeless([PENDING])


def test_executors_at_a_glance() -> None:
    assert told([RUNNING, RUNNING, PENDING]).startswith(
        "executors: 2 running, 1 pending (0/1 nodes are available"
    )
    assert told([]) == "executors: none"


def test_a_catalog_that_is_away_is_not_the_executors_fault() -> None:
    lost = [Loss(executor_pod(ended(137, "OOMKilled")))]
    said = "the Iceberg catalog does not answer: connection to server failed: Connection refused"
    assert loss_error(lost, said, Executors()) is None
