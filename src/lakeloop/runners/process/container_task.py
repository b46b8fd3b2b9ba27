"""One container task: reuse it, take it from the cache, or run it, attempt by attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from lakeloop.domain.errors import LakeloopError
from lakeloop.runners.process import ir
from lakeloop.runners.process.attempts import Attempt, Job, run_attempt
from lakeloop.runners.process.content import ABSENT
from lakeloop.runners.process.environment import entry_point
from lakeloop.runners.process.events import (
    TaskCached,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TaskStarted,
)
from lakeloop.runners.process.fingerprint import cacheable, inputs_digest, task_fingerprint
from lakeloop.runners.process.inputs import InputError, Values, fill, lookup
from lakeloop.runners.process.launching import log_tail
from lakeloop.runners.process.options import TaskResult
from lakeloop.runners.process.records import from_record, intact, summary, to_record
from lakeloop.runners.process.scheduling import GOOD, State
from lakeloop.runners.process.session import Outcome, Session

USER_ERROR_CODE: Final = 2
_FINAL_CODES: Final = frozenset({USER_ERROR_CODE, 4})  # wrong input, and a refusal that is recorded


class ContainerTask:
    """Runs one job."""

    def __init__(self, session: Session, job: Job) -> None:
        self._session, self._job = session, job
        self._stop = session.stop_for(shielded=job.place.shielded)
        self._log_path: Path | None = None
        self._attempts = session.folder.attempts(job.path)
        self._seconds = 0.0

    async def run(self) -> Outcome:
        """Bring the task to its end and record it."""
        inputs = inputs_digest(self._job.inputs)
        reused = await asyncio.to_thread(self._reusable, inputs)
        if reused is not None:
            return self._take("reused", reused, "this run, before it was resumed")
        try:
            self._check_artifacts()
            environment = self._environment()
        except (InputError, LakeloopError) as error:
            return self._end(
                Attempt("failed", Values(), str(error), getattr(error, "exit_code", 1)), inputs, ""
            )
        fingerprint = self._fingerprint(environment)
        found = await asyncio.to_thread(self._cached, fingerprint)
        if found is not None:
            self._record(Attempt("cached", found[0]), inputs)
            return self._take("cached", found[0], f"run {found[1]}")
        attempt = await self._try(environment)
        return self._end(attempt, inputs, fingerprint)

    def _cached(self, fingerprint: str) -> tuple[Values, str] | None:
        cache = self._session.cache
        return cache.find(fingerprint) if cache is not None and fingerprint else None

    def _reusable(self, inputs: str) -> Values | None:
        if not self._session.resumed or self._job.place.fresh:
            return None
        result = self._session.folder.result(self._job.path)
        if result is None or result["state"] not in GOOD or result["inputs"] != inputs:
            return None
        outputs = from_record(result["outputs"])
        self._log_path = Path(result["log_path"]) if result["log_path"] else None
        return outputs if intact(outputs) else None

    def _take(self, state: State, outputs: Values, source: str) -> Outcome:
        path, name = self._job.path, self._job.task.display_name
        self._session.results[path] = TaskResult(
            state, attempts=self._attempts, log_path=self._log_path, outputs=summary(outputs)
        )
        self._session.listener(TaskCached(path, name, source))
        return Outcome(state, outputs)

    def _check_artifacts(self) -> None:
        for name, artifacts in self._job.inputs.artifacts.items():
            for artifact in artifacts:
                if artifact.digest == ABSENT:
                    raise InputError(
                        f"input artifact {name!r} was not written by its producer: {artifact.uri}"
                    )

    def _environment(self) -> dict[str, str]:
        options, container = self._session.options, self._job.container
        environment = {**options.env, **entry_point(options, container.image).env, **container.env}
        for source in container.environment_from:
            name = self._object_name(source)
            environment |= self._session.secrets.variables(source, name, self._job.task.name)
        return environment

    def _object_name(self, source: ir.EnvironmentFrom) -> str:
        binding = source.name
        if isinstance(binding.source, ir.Constant) and binding.source.text:
            around = self._job.surroundings
            known = {**around.scope.parameters, **self._job.inputs.parameters}
            return fill(binding.source.text, known, around.identity)
        return str(lookup(binding, self._job.surroundings) or "")

    def _fingerprint(self, environment: Mapping[str, str]) -> str:
        job, options = self._job, self._session.options
        wanted = self._session.cache is not None and job.task.caching is True and job.place.caching
        if not wanted or cacheable(job.container, job.inputs, options.code_digest):
            return ""
        entry = entry_point(options, job.container.image)
        return task_fingerprint(
            job.component,
            job.container,
            job.inputs,
            environment={**environment, "": " ".join(entry.prefix)},
            code_digest=options.code_digest,
            cache_key=job.task.cache_key,
        )

    async def _try(self, environment: Mapping[str, str]) -> Attempt:
        retry = self._job.task.retry
        for number in range(1, retry.count + 2):
            async with self._session.slots:
                if self._stop.is_set():
                    return Attempt("cancelled", Values(), self._session.stop.reason)
                attempt = await self._attempt(environment)
            if attempt.state != "failed" or number > retry.count or attempt.exit_code in _FINAL_CODES:
                return attempt
            await self._wait_before_retry(retry.delay_seconds(number), attempt.error)
        raise AssertionError("unreachable")

    async def _wait_before_retry(self, delay_seconds: float, error: str) -> None:
        event = TaskRetried(self._job.path, self._job.task.display_name, self._attempts, delay_seconds, error)
        self._session.listener(event)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), delay_seconds)

    async def _attempt(self, environment: Mapping[str, str]) -> Attempt:
        self._attempts += 1
        folder = self._session.folder.task(self._job.path) / f"attempt-{self._attempts}"
        (folder / "outputs").mkdir(parents=True, exist_ok=True)
        self._log_path = folder / "log.txt"
        started = time.monotonic()
        path, name = self._job.path, self._job.task.display_name
        self._session.listener(TaskStarted(path, name, self._attempts, self._log_path))
        try:
            return await run_attempt(self._session, self._job, folder, environment)
        finally:
            self._seconds += time.monotonic() - started

    def _end(self, attempt: Attempt, inputs: str, fingerprint: str) -> Outcome:
        self._record(attempt, inputs)
        if attempt.state == "succeeded" and self._session.cache is not None and fingerprint:
            self._session.cache.keep(fingerprint, attempt.outputs, self._session.run_id)
        self._session.results[self._job.path] = TaskResult(
            attempt.state,
            self._seconds,
            self._attempts,
            self._log_path,
            summary(attempt.outputs),
            attempt.error,
            attempt.exit_code,
        )
        self._tell(attempt)
        return Outcome(attempt.state, attempt.outputs, True, attempt.error, attempt.exit_code)

    def _record(self, attempt: Attempt, inputs: str) -> None:
        self._session.folder.record_result(
            self._job.path,
            {
                "state": attempt.state,
                "inputs": inputs,
                "outputs": to_record(attempt.outputs),
                "seconds": round(self._seconds, 3),
                "attempts": self._attempts,
                "log_path": str(self._log_path) if self._log_path else "",
                "error": attempt.error,
                "exit_code": attempt.exit_code,
            },
        )

    def _tell(self, attempt: Attempt) -> None:
        path, name, listener = self._job.path, self._job.task.display_name, self._session.listener
        if attempt.state == "succeeded":
            listener(TaskFinished(path, name, self._seconds, summary(attempt.outputs)))
        elif attempt.state == "cancelled":
            listener(TaskCancelled(path, name, self._seconds))
        else:
            code = attempt.exit_code or 1
            self._session.failures.append((path, code))
            tail = log_tail(self._log_path) if self._log_path else ()
            listener(TaskFailed(path, name, self._seconds, attempt.error, code, tail, self._log_path))
