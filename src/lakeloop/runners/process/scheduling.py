"""Which tasks of a DAG start next, which never will, and how the DAG ended: decisions over states.

The rules are those of KFP on Argo: a task waits for all it depends on; a skipped task does not stop those
after it; after a failure no further ordinary task starts in that DAG while the running ones finish; a task
whose strategy is ALL_UPSTREAM_TASKS_COMPLETED (exit handlers, ignore_upstream_failure) starts however its
upstream ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lakeloop.runners.process import ir

State = Literal["succeeded", "cached", "reused", "skipped", "failed", "cancelled", "not_run", "held"]
GOOD: Final[frozenset[str]] = frozenset({"succeeded", "cached", "reused", "skipped"})


@dataclass(frozen=True, slots=True)
class Decision:
    """Names of tasks to start now, of tasks that will never run, and of tasks left for a resumed run."""

    start: tuple[str, ...]
    never: tuple[str, ...]
    hold: tuple[str, ...] = ()


def decide(
    tasks: Mapping[str, ir.Task],
    ended: Mapping[str, State],
    running: Collection[str],
    *,
    stopping: bool = False,
    hold_before: Collection[str] = (),
) -> Decision:
    """What to do now.

    Args:
        tasks: all tasks of the DAG.
        ended: states of the tasks that ended.
        running: names of the tasks that run.
        stopping: whether the run is being cancelled; then only exit tasks start.
        hold_before: names of tasks that a later resume starts; what depends on them, exit tasks too, waits with
            them.
    """
    tolerated = {name for task in tasks.values() if task.when == "completed" for name in task.depends_on}
    tolerated -= {name for task in tasks.values() if is_exit_task(task) for name in task.depends_on}
    bad = {name for name, state in ended.items() if state not in GOOD and state != "held"}
    broken = bool(bad - tolerated)
    found: dict[str, list[str]] = {"start": [], "never": [], "hold": [], "wait": []}
    for name, task in tasks.items():
        if name in ended or name in running:
            continue
        verdict = _verdict(task, ended, halted=broken or stopping, stopping=stopping)
        holds = name in hold_before or any(ended.get(before) == "held" for before in task.depends_on)
        found["hold" if holds and verdict != "wait" and not broken else verdict].append(name)
    return Decision(tuple(found["start"]), tuple(found["never"]), tuple(found["hold"]))


def _verdict(task: ir.Task, ended: Mapping[str, State], *, halted: bool, stopping: bool) -> str:
    ready = all(name in ended for name in task.depends_on)
    if is_exit_task(task) or (task.when == "completed" and not stopping):
        return "start" if ready else "wait"
    if halted or any(ended.get(name, "succeeded") not in GOOD for name in task.depends_on):
        return "never"
    return "start" if ready else "wait"


def is_exit_task(task: ir.Task) -> bool:
    """Whether the task is an exit handler's: it runs even when the run is being cancelled."""
    if task.when != "completed":
        return False
    watches = any(isinstance(binding.source, ir.FinalStatus) for binding in task.parameters.values())
    return watches or any(name.startswith("exit-handler-") for name in task.depends_on)


def combine(states: Collection[State]) -> State:
    """How a group of tasks ended, from how its tasks ended."""
    if "failed" in states:
        return "failed"
    if "cancelled" in states:
        return "cancelled"
    if "not_run" in states:
        return "failed"
    return "held" if "held" in states else "succeeded"


def final_status(
    state: State, *, task_name: str, job_name: str, error: str = "", exit_code: int | None = None
) -> dict[str, object]:
    """What an exit task learns about the tasks it watches (protocol: PipelineTaskFinalStatus)."""
    word = {"failed": "FAILED", "not_run": "FAILED", "cancelled": "CANCELLED"}.get(state, "SUCCEEDED")
    failed = word != "SUCCEEDED"
    # google.rpc.Code: 1 cancelled, 2 unknown, 3 invalid argument.
    code = 1 if word == "CANCELLED" else 3 if exit_code == 2 else 2  # noqa: PLR2004
    return {
        "state": word,
        "pipelineTaskName": task_name,
        "pipelineJobResourceName": job_name,
        "error": {"code": code, "message": error} if failed else {},
    }
