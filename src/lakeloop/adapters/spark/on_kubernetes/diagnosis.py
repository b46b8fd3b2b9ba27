"""Why executors did not come or did not stay: pure, from their pods and from what Spark said.

Field names in advice are those of the use case's section `spark`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lakeloop.adapters.spark.on_kubernetes.pods import JAVA_OUT_OF_MEMORY_EXIT, OOM_KILLED, ExecutorPod
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.spark_resources import Executors

FailureClass = Literal[
    "image_pull", "unschedulable", "configuration", "not_created", "starting",
    "oom_killed", "java_heap", "python_worker", "evicted", "exit_code",
]  # fmt: skip
_LONGEST_MESSAGE, _LONGEST_TAIL, _TAIL_LINES = 300, 500, 3
_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_CONFIGURATION = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_WORST_FIRST: tuple[FailureClass, ...] = ("oom_killed", "java_heap", "evicted", "exit_code")
_HOPELESS = {"InvalidImageName", "ErrImageNeverPull"}
_SIGNAL_BASE = 128
_LOSS_IN_SPARK = re.compile(
    r"ExecutorLostFailure|Max number of executor failures|executor .{0,40}(lost|exited)|FetchFailed"
    r"|ShuffleStatusNotFound|Could not recover from a failed barrier|exit(?:ed with exit)? code",
    re.IGNORECASE,
)
_GOING_IN_SPARK = re.compile(r"RejectedExecutionException.{0,400}(Shutting down|Terminated)", re.DOTALL)
"""A task came to an executor that is ending, as after an error of its heap: Spark tells the refusal, not the end."""
_HEAP_IN_SPARK = re.compile(r"java\.lang\.OutOfMemoryError|SparkOutOfMemoryError|UNABLE_TO_ACQUIRE_MEMORY")
_PYTHON_GONE = re.compile(r"Python worker exited unexpectedly")
_GATEWAY_GONE = re.compile(
    r"Answer from Java side is empty|connect to the Java server|Error while sending or receiving"
)


@dataclass(frozen=True)
class Loss:
    """An executor that ended otherwise than it should: its pod at the end, and its last log lines."""

    pod: ExecutorPod
    log_tail: tuple[str, ...] = ()


def hopeless(pods: Sequence[ExecutorPod]) -> bool:
    """Whether a pod waits for what no time can bring."""
    return any(p.phase == "pending" and p.reason in _HOPELESS for p in pods)


def short(pods: Sequence[ExecutorPod], needed: int, *, busy: bool) -> bool:
    """Whether too few executors run while some are wanted."""
    running = sum(p.phase == "running" for p in pods)
    return running < needed and (busy or any(p.phase == "pending" for p in pods))


def told(pods: Sequence[ExecutorPod]) -> str:
    """How many executors are in which phase, and why the first of the pending waits."""
    counts = Counter(p.phase for p in pods if not p.ended)
    text = ", ".join(
        f"{counts[phase]} {phase}" for phase in ("running", "pending", "deleting") if counts[phase]
    )
    waiting = next((p for p in pods if p.phase == "pending" and p.reason), None)
    why = f" ({_cut(waiting.message or waiting.reason, 120)})" if waiting else ""
    return f"executors: {text or 'none'}{why}"


def pending_class(pod: ExecutorPod) -> FailureClass:
    """Why a pending pod waits."""
    if pod.reason in _PULL:
        return "image_pull"
    if pod.reason == "Unschedulable":
        return "unschedulable"
    return "configuration" if pod.reason in _CONFIGURATION else "starting"


def loss_class(loss: Loss) -> FailureClass:
    """How an executor ended."""
    pod = loss.pod
    if pod.reason == OOM_KILLED:
        return "oom_killed"
    if pod.exit_code == JAVA_OUT_OF_MEMORY_EXIT or any(_HEAP_IN_SPARK.search(line) for line in loss.log_tail):
        return "java_heap"
    return "evicted" if pod.reason in {"Evicted", "Preempted", "NodeShutdown", "Terminated"} else "exit_code"


def pending_error(  # noqa: PLR0913 - the facts of one verdict
    pods: Sequence[ExecutorPod],
    losses: Sequence[Loss],
    *,
    needed: int,
    limit_seconds: int,
    executors: Executors,
    not_created: str,
    image: str,
) -> LakeloopError:
    """Too few executors for too long: the reason that Kubernetes gives.

    Args:
        pods: the session's pods now.
        losses: executors that ended badly so far.
        needed: how many should run.
        limit_seconds: how long they were waited for.
        executors: what was declared.
        not_created: what the API server says to one more pod; empty where it would take it.
        image: of the executors.
    """
    running = sum(p.phase == "running" for p in pods)
    head = f"after {limit_seconds} s {running} of {needed} executors run"
    waiting = [p for p in pods if p.phase == "pending"]
    if not waiting and losses:
        return LakeloopError(
            f"{head}: {loss_text(losses[-1])}",
            where="Spark executors",
            fix=_fixes(executors)[loss_class(losses[-1])],
        )
    if not waiting:
        why = not_created or "Spark asked for none; its own lines above say why"
        return LakeloopError(
            f"{head}, and no executor pod was created: {_cut(why)}",
            where="Spark executors",
            fix="raise the namespace's quota, lower spark.executors, or give the step's service account the right to "
            "create pods",
        )
    pod = min(waiting, key=lambda p: (p.reason == "", p.name))
    problem, fix = _pending_texts(pod, image)
    return LakeloopError(f"{head}: {problem}", where=f"pod {pod.name}", fix=fix)


def _pending_texts(pod: ExecutorPod, image: str) -> tuple[str, str]:
    said = _cut(pod.message) or pod.reason
    return {
        "image_pull": (
            f"image {image} cannot be pulled ({pod.reason}): {said}",
            "push or load the image, or set LAKELOOP_SPARK_EXECUTOR_IMAGE; a private registry needs imagePullSecrets",
        ),
        "unschedulable": (
            f"no node takes the pod: {said}",
            "lower spark.executors.memory_mib or cores, correct spark.node_selector and tolerations, or add nodes",
        ),
        "configuration": (
            f"the container cannot be made ({pod.reason}): {said}",
            "create the Secret or key that it names, or correct LAKELOOP_SPARK_EXECUTOR_SECRETS",
        ),
    }.get(
        pending_class(pod),
        (
            f"the pod does not start: {said or 'no reason is given'}",
            f"look with `kubectl describe pod {pod.name}`, or raise spark.pending_timeout_seconds",
        ),
    )


def is_going(spark_said: str) -> bool:
    """Whether Spark's error comes from an executor whose end may not have been seen yet."""
    return bool(_GOING_IN_SPARK.search(spark_said))


def loss_error(losses: Sequence[Loss], spark_said: str, executors: Executors) -> LakeloopError | None:
    """What lost executors mean for a failed step; None where Spark's error is not about them (wrong data, say)."""
    kind = _cause({loss_class(x) for x in losses}, spark_said)
    if kind is None:
        return None
    alike = [x for x in losses if loss_class(x) == kind]
    return LakeloopError(
        _problem(kind, alike, executors),
        where=f"pod {alike[-1].pod.name}" if alike else "Spark executors",
        fix=_fixes(executors)[kind],
    )


def _cause(classes: set[FailureClass], spark_said: str) -> FailureClass | None:
    """The worst that fits what Spark said."""
    patterns = (_LOSS_IN_SPARK, _GATEWAY_GONE, _GOING_IN_SPARK)
    about_losses = any(pattern.search(spark_said) for pattern in patterns)
    heap, python = _HEAP_IN_SPARK.search(spark_said), _PYTHON_GONE.search(spark_said)
    if "oom_killed" in classes and (about_losses or heap or python):
        return "oom_killed"
    if heap:
        return "java_heap"
    if python:
        return "python_worker"
    return next((c for c in _WORST_FIRST if c in classes), None) if about_losses else None


def _problem(kind: FailureClass, alike: Sequence[Loss], executors: Executors) -> str:
    if kind == "python_worker":
        return (
            "a Python worker of an executor ended without a word, as when the kernel kills it at the pod's "
            f"memory limit ({executors.limit_mib}Mi)"
        )
    if kind == "java_heap":
        tail = f"; {_tail(alike[-1])}" if alike and alike[-1].log_tail else ""
        return f"executors ran out of Java heap ({executors.memory_mib} MiB){tail}"
    number = f"{len(alike)} executors were" if len(alike) > 1 else "1 executor was"
    return f"{number} lost, Spark gave up: {loss_text(alike[-1])}"


def loss_text(loss: Loss) -> str:
    """How an executor ended, with its last log lines, in one line."""
    pod = loss.pod
    how = {
        "oom_killed": f"killed for using more memory than its limit ({pod.memory_limit or 'unknown'})",
        "java_heap": "out of Java heap",
        "evicted": f"evicted by the cluster ({pod.reason}): {_cut(pod.message)}",
    }.get(loss_class(loss), f"ended with exit code {pod.exit_code}{_signal(pod.exit_code)}")
    return f"{how}; {_tail(loss)}" if loss.log_tail else how


def _fixes(executors: Executors) -> dict[FailureClass, str]:
    return {
        "oom_killed": f"raise spark.executors.memory_overhead_mib (now {executors.overhead_mib}) or lower "
        "spark.executors.cores",
        "java_heap": f"raise spark.executors.memory_mib (now {executors.memory_mib}) or lower spark.executors.cores",
        "python_worker": f"raise spark.executors.memory_overhead_mib (now {executors.overhead_mib}) or lower "
        "spark.executors.cores",
        "evicted": "give the executors a spark.priority_class, or other nodes by spark.node_selector, and run it again",
        "exit_code": "see the log lines; after signal 9, raise spark.executors.memory_overhead_mib",
    }


def _signal(exit_code: int | None) -> str:
    return f" (signal {exit_code - _SIGNAL_BASE})" if exit_code and exit_code > _SIGNAL_BASE else ""


def _tail(loss: Loss) -> str:
    lines = " | ".join(line.strip() for line in loss.log_tail[-_TAIL_LINES:])
    return f"its last log lines: {_cut(lines, _LONGEST_TAIL)}"


def _cut(text: str, most: int = _LONGEST_MESSAGE) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 3]}..."
