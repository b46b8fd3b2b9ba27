"""`run_pipeline`: one compiled pipeline, from its file to its result."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
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
from lakeloop.runners.process.container_task import USER_ERROR_CODE
from lakeloop.runners.process.environment import LocalSecrets, full_environment, secrets_for
from lakeloop.runners.process.events import RunFinished, RunStarted, ignore_events
from lakeloop.runners.process.inputs import Values
from lakeloop.runners.process.interpreter import Interpreter
from lakeloop.runners.process.loading import load_pipeline
from lakeloop.runners.process.options import RunOptions, RunResult, TaskResult
from lakeloop.runners.process.processes import end_orphans, groups_writing_to, recorded_group
from lakeloop.runners.process.records import summary
from lakeloop.runners.process.requests import check_request, record_request, run_folder
from lakeloop.runners.process.session import Outcome, Place, Session, Stop
from lakeloop.runners.process.store import RunFolder, read_json
from lakeloop.runners.process.tickets import take, ticket_path
from lakeloop.runners.process.values import to_text
from lakeloop.runners.process.warm import WarmInterpreter

CANCELLED_EXIT_CODE: Final = 130


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
    local_secrets = secrets_for(options)
    check_request(pipeline, arguments, options, local_secrets)
    folder = run_folder(options)
    with _writable(folder), folder.locked():
        values = record_request(pipeline, pipeline_path, arguments, options, folder)
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


@contextmanager
def _warm(options: RunOptions) -> Iterator[WarmInterpreter | None]:
    if not options.preload:
        yield None
        return
    environment = full_environment(os.environ, options.env)
    warm = WarmInterpreter(options.preload, options.project_root, environment, options.preload_later)
    try:
        yield warm
    finally:
        warm.close()


def _outside_event_loops(body: Callable[[], RunResult]) -> RunResult:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return body()
    # A notebook has a loop of its own in this thread.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(body).result()


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
        with _warm(self._options) as warm:
            return asyncio.run(self._main(warm))

    async def _main(self, warm: WarmInterpreter | None) -> RunResult:
        session = self._session(warm)
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

    def _session(self, warm: WarmInterpreter | None) -> Session:
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
            warm=warm,
        )

    async def _end_orphans(self) -> None:
        """No step of an earlier, killed runner of this run works beside this one, nor begins to."""
        logs, records = list(self._folder.logs()), list(self._folder.process_files())
        for log in logs:
            take(ticket_path(log))
        known = [process for record in records if (process := read_json(record))]

        def groups() -> set[int]:
            found = {recorded_group(process["pid"], process["ticks"]) for process in known}
            return groups_writing_to(logs) | {group for group in found if group is not None}

        await end_orphans(groups)
        for record in records:
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
        state: Literal["succeeded", "held", "failed", "cancelled"] = "cancelled" if cancelled else "failed"
        if outcome.state in {"succeeded", "held"} and not cancelled:
            state = "succeeded" if outcome.state == "succeeded" else "held"
        if state == "cancelled" and session.stop.reason.startswith("the pipeline's deadline"):
            state = "failed"
        self._finish(session, state, summary(outcome.outputs))
        first = session.failures[0][1] if session.failures else 1
        codes = {
            "succeeded": 0,
            "held": 0,
            "cancelled": CANCELLED_EXIT_CODE,
            "failed": 2 if first == USER_ERROR_CODE else 1,
        }
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
        wrong_input = any(code == USER_ERROR_CODE for _, code in session.failures[:1])
        command = "" if wrong_input else self._options.resume_command.format(run_id=session.run_id)
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
