"""The watch over a scripted cluster: what it keeps, removes, and when it gives up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import pytest

from lakeloop.adapters.spark.on_kubernetes.api import Pods
from lakeloop.adapters.spark.on_kubernetes.pods import ExecutorPod
from lakeloop.adapters.spark.on_kubernetes.request import DriverPod, ExecutorRequest
from lakeloop.adapters.spark.on_kubernetes.watch import KEPT_SECONDS, ExecutorWatch
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.spark_resources import SparkResources

LIMIT_SECONDS = 20


class ScriptedPods:
    """A cluster that holds just these pods."""

    def __init__(self, *pods: ExecutorPod) -> None:
        self.pods = {pod.name: pod for pod in pods}
        self.removed: list[str] = []
        self.down = False

    def executors(self, selector: str) -> list[ExecutorPod]:
        assert selector == "lakeloop/spark-session=s-1"
        if self.down:
            raise OSError("connection refused")
        return list(self.pods.values())

    def log_tail(self, name: str) -> tuple[str, ...]:
        return (f"last words of {name}",)

    def delete(self, name: str) -> None:
        self.removed.append(name)
        self.pods.pop(name, None)

    def delete_all(self, selector: str, grace_seconds: int) -> None:  # noqa: ARG002
        for name in list(self.pods):
            self.delete(name)

    def refusal(self, manifest: object) -> str:  # noqa: ARG002
        return "exceeded quota: compute"


def watch(
    pods: ScriptedPods, tell: Callable[[str], None] = lambda _: None, *, minimum: int = 1
) -> ExecutorWatch:
    resources = SparkResources.model_validate(
        {"executors": {"min": minimum, "max": 4}, "pending_timeout_seconds": LIMIT_SECONDS}
    )
    request = ExecutorRequest("s-1", DriverPod("d", "ns", "1.1.1.1", "image"), resources, "image")
    return ExecutorWatch(cast("Pods", pods), request, {}, tell)


def failed(name: str) -> ExecutorPod:
    return ExecutorPod(name, "failed", "OOMKilled", exit_code=137, memory_limit="900Mi")


def waited(watching: ExecutorWatch) -> None:
    """As if the limit had passed since the last look."""
    assert watching._short_since is not None
    watching._short_since = time.monotonic() - LIMIT_SECONDS - 1
    watching._look_once()


def test_a_lost_executor_is_told_and_ends_nothing_by_itself() -> None:
    pods, said = ScriptedPods(failed("e-1"), ExecutorPod("e-2", "running")), list[str]()
    watching = watch(pods, said.append)
    watching._look_once()
    assert "e-1 was lost: killed for using more memory than its limit (900Mi)" in said[0]
    assert "last words of e-1" in said[0]
    assert watching.explained(LakeloopError("[DIVIDE_BY_ZERO] Division by zero")) is None


def test_ended_pods_go_when_spark_had_time_to_see_their_end() -> None:
    pods = ScriptedPods(failed("e-1"), ExecutorPod("e-2", "running"), ExecutorPod("e-3", "succeeded"))
    watching = watch(pods)
    watching._look_once()
    assert pods.removed == []
    watching._ended_at = {name: at - KEPT_SECONDS - 1 for name, at in watching._ended_at.items()}
    watching._look_once()
    assert pods.removed == ["e-1", "e-3"]


def test_the_step_ends_with_the_schedulers_message() -> None:
    pods = ScriptedPods(
        ExecutorPod("e-1", "pending", "Unschedulable", "0/1 nodes are available: too many pods")
    )
    watching = watch(pods)
    watching._look_once()
    assert watching.explained(LakeloopError("cancelled")) is None
    waited(watching)
    error = watching.explained(LakeloopError("cancelled"))
    assert error is not None
    assert "0/1 nodes are available: too many pods" in error.problem


def test_pods_that_cannot_even_be_created_end_the_step_too() -> None:
    watching = watch(ScriptedPods())
    watching.attach(lambda: True, lambda: None)
    watching._look_once()
    waited(watching)
    error = watching.explained(LakeloopError("cancelled"))
    assert error is not None
    assert "exceeded quota: compute" in error.problem


def test_a_slow_start_of_spark_itself_is_not_held_against_the_cluster() -> None:
    watching = watch(ScriptedPods())
    watching._look_once()
    assert watching._short_since is None


def test_a_limit_that_passed_while_the_session_started_ends_it_at_once() -> None:
    watching = watch(ScriptedPods(ExecutorPod("e-1", "pending", "Unschedulable", "no room")))
    watching._look_once()
    waited(watching)
    with pytest.raises(LakeloopError, match="no room"):
        watching.attach(lambda: True, lambda: None)


def test_the_clock_starts_again_when_enough_executors_run() -> None:
    pods = ScriptedPods(ExecutorPod("e-1", "pending"))
    watching = watch(pods)
    watching._look_once()
    pods.pods["e-1"] = ExecutorPod("e-1", "running")
    watching._look_once()
    assert watching._short_since is None
    pods.pods["e-2"] = ExecutorPod("e-2", "pending", "Unschedulable", "no room")
    watching._look_once()
    assert watching._short_since is None


def test_nobody_is_missed_while_nothing_runs() -> None:
    watching = watch(ScriptedPods(), minimum=0)
    watching.attach(lambda: False, lambda: None)
    watching._look_once()
    assert watching._short_since is None


def test_a_wrong_input_is_never_explained_away() -> None:
    watching = watch(ScriptedPods(failed("e-1")))
    watching._look_once()
    assert watching.explained(UserError("ExecutorLostFailure in a column's name")) is None


def test_the_cause_behind_an_error_counts() -> None:
    watching = watch(ScriptedPods(failed("e-1")))
    watching._look_once()
    cause = RuntimeError("Job aborted: ExecutorLostFailure (executor 1 exited)")
    outer = LakeloopError("Spark could not compute the features")
    outer.__cause__ = cause
    error = watching.explained(outer)
    assert error is not None
    assert "killed for using more memory" in error.problem


def test_an_executor_that_was_ending_is_waited_for_and_told_by_its_end() -> None:
    refused = RuntimeError(
        "Lost task 0.1 in stage 0.0 (TID 2) (10.0.0.1 executor 1): java.util.concurrent.RejectedExecutionException: "
        "Task TaskRunner@68 rejected from ThreadPoolExecutor@37[Shutting down, pool size = 1, queued tasks = 0]"
    )
    pods = ScriptedPods(ExecutorPod("e-1", "running"))
    watching = watch(pods)
    timer = threading.Timer(1.5, lambda: pods.pods.update({"e-1": failed("e-1")}))
    timer.start()
    error = watching.explained(refused)
    timer.join()
    assert error is not None
    assert "killed for using more memory" in error.problem


def test_an_api_that_is_away_for_a_moment_ends_nothing() -> None:
    pods, said = ScriptedPods(ExecutorPod("e-1", "running")), list[str]()
    watching = watch(pods, said.append)
    pods.down = True
    watching._look_once()
    pods.down = False
    watching._look_once()
    assert said == ["executors: the Kubernetes API does not answer (OSError)", "executors: 1 running"]


def test_the_end_leaves_no_executor() -> None:
    pods = ScriptedPods(ExecutorPod("e-1", "running"), ExecutorPod("e-2", "pending"))
    watching = watch(pods)
    watching.start()
    watching.end()
    assert pods.pods == {}
