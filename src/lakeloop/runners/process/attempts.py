"""One attempt at a container task: a folder, a process, and what it left."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakeloop.runners.process import ir
from lakeloop.runners.process.environment import command_line, entry_point, full_environment
from lakeloop.runners.process.events import TaskProgress
from lakeloop.runners.process.inputs import Surroundings, Values
from lakeloop.runners.process.launching import (
    OutputError,
    artifact_paths,
    executor_input,
    failure_text,
    log_tail,
    take_outputs,
)
from lakeloop.runners.process.placeholders import Context, PlaceholderError, render
from lakeloop.runners.process.processes import Command, Exit, run_process, start_ticks
from lakeloop.runners.process.scheduling import State
from lakeloop.runners.process.session import Place, Session
from lakeloop.runners.process.store import write_json


@dataclass(frozen=True, slots=True)
class Job:
    """A container task with its inputs, ready to run."""

    task: ir.Task
    component: ir.Component
    container: ir.Container
    inputs: Values
    surroundings: Surroundings
    place: Place

    @property
    def path(self) -> str:
        """The task's path in the graph."""
        return self.place.path


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended."""

    state: State
    outputs: Values
    error: str = ""
    exit_code: int | None = None


async def run_attempt(session: Session, job: Job, folder: Path, environment: Mapping[str, str]) -> Attempt:
    """Start the task's process in a fresh folder, wait for its end, and take its outputs."""
    told = executor_input(job.component, job.inputs, folder)
    write_json(folder / "executor_input.json", told)
    try:
        argv = _argv(session, job, told)
    except PlaceholderError as error:
        return Attempt("failed", Values(), str(error))
    ended = await run_process(
        _command(session, job, argv, environment, folder / "log.txt"),
        session.stop_for(shielded=job.place.shielded),
        lambda pid: write_json(folder / "process.json", {"pid": pid, "ticks": start_ticks(pid)}),
        lambda text: session.listener(TaskProgress(job.path, job.task.display_name, text)),
    )
    (folder / "process.json").unlink(missing_ok=True)
    if ended != Exit("exited", 0):
        return _unsuccessful(session, job, ended, folder / "log.txt")
    try:
        outputs = await asyncio.to_thread(take_outputs, job.component, told)
    except OutputError as error:
        return Attempt("failed", Values(), str(error), 0)
    return Attempt("succeeded", outputs, exit_code=0)


def _argv(session: Session, job: Job, told: Mapping[str, Any]) -> list[str]:
    identity = session.identity_of(job.path, job.task.name)
    context = Context(told, identity, artifact_paths(job.inputs, told))
    words = [word for argument in job.container.command for word in render(argument, context)]
    return command_line(words, entry_point(session.options, job.container.image))


def _command(
    session: Session, job: Job, argv: list[str], environment: Mapping[str, str], log_path: Path
) -> Command:
    return Command(
        argv=argv,
        env=full_environment(os.environ, environment),
        cwd=session.options.project_root,
        log_path=log_path,
        timeout_seconds=job.container.timeout_seconds,
        grace_seconds=session.options.kill_grace_seconds,
        warm=session.warm,
    )


def _unsuccessful(session: Session, job: Job, ended: Exit, log_path: Path) -> Attempt:
    if ended.why == "cancelled":
        return Attempt("cancelled", Values(), session.stop.reason, ended.code)
    problem = describe_exit(ended, job.container.timeout_seconds)
    error = problem if ended.why == "timed_out" else failure_text(log_tail(log_path), problem)
    return Attempt("failed", Values(), error, ended.code)


def describe_exit(ended: Exit, timeout_seconds: float | None) -> str:
    """One line on how a process ended."""
    if ended.why == "timed_out":
        return f"timed out after {timeout_seconds:g} seconds (set_timeout), and was stopped"
    if ended.why == "not_started" or ended.code is None:
        return f"could not be started: {ended.problem}"
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        hint = "; was the machine out of memory?" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    return f"exit code {ended.code}"
