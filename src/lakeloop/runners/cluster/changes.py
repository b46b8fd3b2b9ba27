"""Two looks at a run, and what happened between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakeloop.domain.remote_run import RemoteRun, RemoteTask, StepLog
from lakeloop.runners.process.events import (
    Event,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskProgress,
    TaskRetried,
    TaskSkipped,
    TaskStarted,
)

LOG_LINES = 20
POD_IS_GONE = (
    "its pod is gone or cannot be read, and nobody says why: drained with its node, evicted, or deleted; what it had"
    " done stands: submit again with --no-batch goes on from there"
)
"""Kubeflow Pipelines tells nothing of a pod that was taken away, and does not try the step again."""
NEVER_STARTED = frozenset({"skipped", "not_run"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What was told of a task already."""

    state: str = ""
    attempt: int = 1
    progress: str = ""


def changed(before: Mapping[str, Seen], run: RemoteRun) -> list[RemoteTask]:
    """Tasks whose state is another than before, in the order in which they started."""
    return [task for task in run.tasks if before.get(task.task_id, Seen()).state != task.state]


def events_of(task: RemoteTask, before: Seen, log: StepLog | None, logs: str) -> list[Event]:
    """What to tell of a task that changed.

    Args:
        task: as it is now.
        before: as it was.
        log: the end of its log, where it failed and where it can be read.
        logs: the command that shows the whole log.
    """
    if task.state == "waiting":
        return []
    started: list[Event] = []
    if before.state in {"", "waiting"} and task.state not in NEVER_STARTED:
        started = [TaskStarted(task.task_id, task.name, 1, None)]
    return started + _end(task, log, logs)


def _end(task: RemoteTask, log: StepLog | None, logs: str) -> list[Event]:
    match task.state:
        case "succeeded":
            return [TaskFinished(task.task_id, task.name, _seconds(task), {})]
        case "skipped":
            return [TaskSkipped(task.task_id, task.name, "its condition is false")]
        case "not_run":
            return [TaskSkipped(task.task_id, task.name, "a step before it failed")]
        case "cancelled":
            return [TaskCancelled(task.task_id, task.name, _seconds(task))]
        case "failed":
            return [_failure(task, log, logs)]
    return []


def _failure(task: RemoteTask, log: StepLog | None, logs: str) -> TaskFailed:
    tail = tuple((log.lines if log else ())[-LOG_LINES:])
    told = failure_text(task, log)
    code = log.exit_code if log and log.exit_code is not None else 1
    hint = (f"all of it: {logs}",) if logs else ()
    return TaskFailed(task.task_id, task.name, _seconds(task), told, code, (*tail, *hint), None)


def failure_text(task: RemoteTask, log: StepLog | None) -> str:
    """The step's own error line; else what the pod, then the service says."""
    return (log.error if log else "") or task.error or POD_IS_GONE


def log_events(task: RemoteTask, before: Seen, log: StepLog) -> list[Event]:
    """What to tell of a running task by its log: another attempt, another line of progress."""
    told: list[Event] = []
    if log.attempt > before.attempt:
        told.append(TaskRetried(task.task_id, task.name, log.attempt - 1, 0.0, "see the attempt's log"))
    text = log.progress or (f"waiting: {log.problem}" if log.problem else "")
    if text and text != before.progress:
        told.append(TaskProgress(task.task_id, task.name, text))
    return told


def seen_after(before: Mapping[str, Seen], run: RemoteRun, logs: Mapping[str, StepLog]) -> dict[str, Seen]:
    """What has been told once the run and the running tasks' logs were looked at."""
    found: dict[str, Seen] = {}
    for task in run.tasks:
        old, log = before.get(task.task_id, Seen()), logs.get(task.task_id)
        found[task.task_id] = Seen(
            task.state,
            log.attempt if log else old.attempt,
            (log.progress or (f"waiting: {log.problem}" if log.problem else "")) if log else old.progress,
        )
    return found


def running(run: RemoteRun) -> Iterable[RemoteTask]:
    """Tasks at work now."""
    return (task for task in run.tasks if task.state == "running")


def failed(run: RemoteRun) -> list[RemoteTask]:
    """Tasks that failed, the first first."""
    return [task for task in run.tasks if task.state == "failed"]


def _seconds(task: RemoteTask) -> float:
    if task.started_at_ms is None or task.ended_at_ms is None:
        return 0.0
    return max((task.ended_at_ms - task.started_at_ms) / 1000, 0.0)


def task_documents(run: RemoteRun) -> dict[str, Any]:
    """State and seconds of each task by name, for `--json`; a name that comes again is numbered."""
    found: dict[str, Any] = {}
    for task in run.tasks:
        name, k = task.name, 2
        while name in found:
            name, k = f"{task.name}#{k}", k + 1
        found[name] = {"state": task.state, "seconds": _seconds(task)}
    return found
