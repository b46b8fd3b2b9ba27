"""`run_pipeline`: one compiled pipeline, from its file to its result."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import os
import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.runners.process import ir
from lakeloop.runners.process.cache import Cache
from lakeloop.runners.process.environment import LocalSecrets, entry_point, full_environment, secrets_for
from lakeloop.runners.process.events import RunFinished, RunStarted, ignore_events
from lakeloop.runners.process.inputs import Values
from lakeloop.runners.process.interpreter import Interpreter
from lakeloop.runners.process.loading import load_pipeline
from lakeloop.runners.process.options import RunOptions, RunResult, TaskResult
from lakeloop.runners.process.placeholders import Text
from lakeloop.runners.process.processes import end_orphan
from lakeloop.runners.process.records import summary
from lakeloop.runners.process.session import Outcome, Place, Session, Stop
from lakeloop.runners.process.store import RunFolder, read_json
from lakeloop.runners.process.values import ValueMismatchError, coerce, to_text

CANCELLED_EXIT_CODE: Final = 130
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def run_pipeline(pipeline_path: Path, arguments: dict[str, Any], options: RunOptions) -> RunResult:
    """Run a compiled KFP pipeline as local processes.

    Args:
        pipeline_path: YAML as `kfp dsl compile` writes it, platform document included.
        arguments: values for the pipeline's parameters; empty when a run is resumed.
        options: where and how.

    Returns:
        How the run and each task ended. A failed task is a failed result, not an exception.

    Raises:
        UserError: before anything starts: the file, an argument, a secret or an option cannot be used.
        LakeloopError: the run folder cannot be written.
    """
    pipeline = load_pipeline(pipeline_path)
    _check_options(options)
    local_secrets = secrets_for(options)
    _check_commands(pipeline, options)
    _check_secrets(pipeline, local_secrets)
    if not options.resume:
        check_arguments(pipeline, arguments)
    folder = _folder(options)
    with _writable(folder), folder.locked():
        values = _request(pipeline, pipeline_path, arguments, options, folder)
        return _outside_event_loops(lambda: _Run(pipeline, values, options, folder, local_secrets).result())


@contextmanager
def _writable(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fix = "make room there, or choose another folder for runs"
        raise LakeloopError(
            f"the run folder cannot be used: {error}", where=str(folder.path), fix=fix
        ) from error


def _outside_event_loops(body: Callable[[], RunResult]) -> RunResult:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return body()
    # A notebook has a loop of its own in this thread.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(body).result()


def _check_options(options: RunOptions) -> None:
    if options.max_parallel < 1:
        raise UserError(f"max_parallel is {options.max_parallel}", fix="give 1 or more")
    if not options.project_root.is_dir():
        raise UserError("the project root is not a folder", where=str(options.project_root), fix="give one")
    for run_id in filter(None, (options.run_id, options.resume)):
        if not _RUN_ID.fullmatch(run_id):
            raise UserError(f"{run_id!r} is no run id", fix="use letters, digits, dots, - and _")


def _check_commands(pipeline: ir.Pipeline, options: RunOptions) -> None:
    for label, executor in pipeline.executors.items():
        if not isinstance(executor, ir.Container) or entry_point(options, executor.image).prefix:
            continue
        program = executor.command[0]
        if isinstance(program, Text) and all(isinstance(part, str) for part in program.parts):
            name = "".join(map(str, program.parts))
            path = full_environment(os.environ, {**options.env, **executor.env})["PATH"]
            if (
                shutil.which(name, path=path) is None
                and shutil.which(str(options.project_root / name)) is None
            ):
                raise UserError(
                    f"program {name!r} is not on this machine",
                    where=f"deploymentSpec.executors.{label}",
                    fix=f"install it, or give an entry point for image {executor.image}",
                )


def _check_secrets(pipeline: ir.Pipeline, local_secrets: LocalSecrets) -> None:
    for label, executor in pipeline.executors.items():
        for source in executor.environment_from if isinstance(executor, ir.Container) else ():
            name = source.name.source
            if isinstance(name, ir.Constant) and name.text is None:
                local_secrets.variables(source, str(name.value), label.removeprefix("exec-"))


def _folder(options: RunOptions) -> RunFolder:
    if options.resume:
        folder = RunFolder(options.runs_dir / options.resume)
        if not folder.run_file.exists():
            known = sorted(path.parent.name for path in options.runs_dir.glob("*/run.json"))[-5:]
            fix = f"resume one of: {', '.join(known)}" if known else "start a run first"
            raise UserError(f"there is no run {options.resume!r}", where=str(options.runs_dir), fix=fix)
        return folder
    now = dt.datetime.now(dt.UTC)
    folder = RunFolder(options.runs_dir / (options.run_id or f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"))
    if folder.run_file.exists():
        fix = f"choose another run id, or resume {options.run_id}"
        raise UserError(f"run {options.run_id!r} exists already", where=str(folder.path), fix=fix)
    return folder


def _request(
    pipeline: ir.Pipeline,
    pipeline_path: Path,
    arguments: Mapping[str, Any],
    options: RunOptions,
    folder: RunFolder,
) -> dict[str, Any]:
    known = read_json(folder.run_file) if options.resume else None
    if known is None:
        values = check_arguments(pipeline, arguments)
        created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        shutil.copyfile(pipeline_path, folder.path / "pipeline.yaml")
        known = {"run_id": folder.path.name, "pipeline": pipeline.name, "digest": pipeline.digest}
        known |= {"arguments": values, "created_at": created}
    elif known["digest"] != pipeline.digest:
        fix = "start a new run; code may change before a resume, the pipeline may not"
        raise UserError(
            "the pipeline is not the one this run was started with", where=str(folder.path), fix=fix
        )
    elif arguments and check_arguments(pipeline, arguments) != known["arguments"]:
        fix = "resume without arguments, or start a new run"
        raise UserError("a resumed run keeps its arguments", where=str(folder.path), fix=fix)
    elif known["state"] == "succeeded":
        raise UserError(
            f"run {options.resume} succeeded already", where=str(folder.path), fix="start a new run"
        )
    folder.record(
        {**known, "state": "running", "pid": os.getpid(), "not_applied": list(pipeline.not_applied)}
    )
    return dict(known["arguments"])


def check_arguments(pipeline: ir.Pipeline, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's parameters with defaults applied.

    Raises:
        UserError: naming every unknown, missing or mistyped argument.
    """
    declared = pipeline.root.parameters
    problems = [f"unknown argument {name!r}" for name in arguments if name not in declared]
    values: dict[str, Any] = {}
    for name, spec in declared.items():
        value = arguments.get(name, spec.default)
        if value is ir.MISSING or value is None:
            problems += [] if spec.optional else [f"argument {name!r} is missing"]
            continue
        try:
            values[name] = coerce(value, spec.type)
        except ValueMismatchError as error:
            problems.append(f"argument {name!r}: {error}")
    problems += [
        f"input artifact {name!r} of the pipeline cannot be given" for name in pipeline.root.artifacts
    ]
    if problems:
        takes = ", ".join(f"{n} ({s.type}{'' if s.required else ', optional'})" for n, s in declared.items())
        raise UserError("; ".join(problems), where=pipeline.name, fix=f"it takes: {takes or 'no arguments'}")
    return values


class _Run:
    """One event loop's worth of a run."""

    def __init__(
        self,
        pipeline: ir.Pipeline,
        arguments: Mapping[str, Any],
        options: RunOptions,
        folder: RunFolder,
        local_secrets: LocalSecrets,
    ) -> None:
        self._pipeline, self._arguments, self._options = pipeline, arguments, options
        self._folder, self._secrets = folder, local_secrets
        self._started = time.monotonic()

    def result(self) -> RunResult:
        return asyncio.run(self._main())

    async def _main(self) -> RunResult:
        session = self._session()
        with _signals(session.stop):
            session.listener(
                RunStarted(
                    session.run_id,
                    self._pipeline.name,
                    self._folder.path.absolute(),
                    session.resumed,
                    self._pipeline.not_applied,
                )
            )
            try:
                await self._end_orphans()
                outcome = await self._graph(session)
            except BaseException:
                self._finish(session, "failed")
                raise
            return self._outcome(session, outcome)

    def _session(self) -> Session:
        options, run_id = self._options, self._folder.path.name
        created = read_json(self._folder.run_file)["created_at"]
        job = f"{self._pipeline.name}-{run_id}"
        return Session(
            run_id=run_id,
            pipeline=self._pipeline,
            options=options,
            folder=RunFolder(self._folder.path.absolute()),
            cache=Cache(options.cache_dir.absolute()) if options.cache_dir else None,
            secrets=self._secrets,
            listener=options.listener or ignore_events,
            identity={
                "pipeline_job_name": job,
                "pipeline_job_resource_name": job,
                "pipeline_job_uuid": run_id,
                "pipeline_root": str(self._folder.path.absolute() / "tasks"),
                "pipeline_job_create_time_utc": created,
                "pipeline_job_schedule_time_utc": created,
            },
            slots=asyncio.Semaphore(options.max_parallel),
            stop=Stop(),
            resumed=options.resume is not None,
        )

    async def _end_orphans(self) -> None:
        for record in list(self._folder.process_files()):
            process = read_json(record) or {}
            if process:
                await end_orphan(process["pid"], process["ticks"])
            record.unlink(missing_ok=True)

    async def _graph(self, session: Session) -> Outcome:
        root = self._pipeline.root
        timer = None
        if self._pipeline.deadline_seconds:
            reason = f"the pipeline's deadline of {self._pipeline.deadline_seconds:g} seconds is over"
            timer = asyncio.get_running_loop().call_later(
                self._pipeline.deadline_seconds, session.stop.request, reason
            )
        try:
            if root.dag is None:
                raise UserError(
                    "the pipeline's root is not a DAG", fix="compile the pipeline, not a component"
                )
            return await Interpreter(session).run_dag(root.dag, Values(self._arguments), Place())
        finally:
            if timer:
                timer.cancel()

    def _outcome(self, session: Session, outcome: Outcome) -> RunResult:
        stopped = session.stop.ordinary.is_set()
        cancelled = stopped and not session.failures and outcome.state != "succeeded"
        state: Literal["succeeded", "failed", "cancelled"] = (
            "succeeded" if outcome.state == "succeeded" else "cancelled" if cancelled else "failed"
        )
        if state == "cancelled" and session.stop.reason.startswith("the pipeline's deadline"):
            state = "failed"
        self._finish(session, state, summary(outcome.outputs))
        first = session.failures[0][1] if session.failures else 1
        codes = {"succeeded": 0, "cancelled": CANCELLED_EXIT_CODE, "failed": 2 if first == 2 else 1}  # noqa: PLR2004
        return RunResult(
            session.run_id,
            state,
            codes[state],
            dict(session.results),
            session.folder.path,
            summary(outcome.outputs),
        )

    def _finish(self, session: Session, state: str, outputs: Mapping[str, Any] | None = None) -> None:
        seconds = time.monotonic() - self._started
        tasks = {path: _json_result(result) for path, result in session.results.items()}
        self._folder.record(
            {
                "state": state,
                "seconds": round(seconds, 3),
                "tasks": tasks,
                "outputs": dict(outputs or {}),
                "reason": session.stop.reason,
            }
        )
        command = self._options.resume_command.format(run_id=session.run_id)
        session.listener(RunFinished(session.run_id, state, seconds, session.folder.path, command))


def _json_result(result: TaskResult) -> dict[str, Any]:
    fields = asdict(result)
    fields["log_path"] = to_text(str(result.log_path)) if result.log_path else ""
    return fields


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run; a second one stops exit tasks too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        loop.add_signal_handler(number, stop.request, f"{signal.Signals(number).name} received")
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
