"""A pipeline service in memory: runs start, go on until they are told their end, and are found by name."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lakeloop.domain.errors import UserError
from lakeloop.domain.remote_run import RemoteRun, RunState, StepLog, Submission


class MemoryPipelines:
    """Implements `PipelineService` and `Submitter` of lakeloop.ports; threads may share it.

    Args:
        on_start: called with each run that is really started, e.g. to let it end.
    """

    def __init__(self, on_start: Callable[[RemoteRun], None] = lambda _: None) -> None:
        self._runs: dict[str, RemoteRun] = {}
        self._lock = threading.Lock()
        self._on_start = on_start
        self.submissions: list[Submission] = []

    def start(self, submission: Submission) -> str:
        """The run of this name: found, or started once."""
        with self._lock:
            found = self.find(submission.name)
            if found:
                return found
            self.submissions.append(submission)
            number = len(self._runs) + 1
            run = RemoteRun(
                run_id=f"memory-{number}",
                name=submission.name,
                pipeline=submission.pipeline,
                state="running",
                created_at_ms=number,
            )
            self._runs[run.run_id] = run
        self._on_start(run)
        return run.run_id

    def find(self, name: str) -> str | None:
        """Id of the oldest run of this name."""
        return next((run_id for run_id, run in self._runs.items() if run.name == name), None)

    def look(self, run_id: str) -> RemoteRun:
        """The run now."""
        if run_id not in self._runs:
            raise UserError(f"there is no run {run_id}", where="pipelines in memory")
        return self._runs[run_id]

    def ended(self, run_id: str) -> bool:
        """Whether nothing of the run goes on, also because there is no such run."""
        try:
            return self.look(run_id).ended
        except UserError:
            return True

    def step_log(self, run_id: str, task: str, lines: int) -> StepLog | None:
        """Nothing is logged here."""
        del run_id, task, lines
        return None

    def terminate(self, run_id: str) -> None:
        """End a run that goes on."""
        if not self.look(run_id).ended:
            self.end(run_id, "cancelled")

    def link(self, run_id: str) -> str:
        """Its id: there is no page."""
        return f"memory:{run_id}"

    def end(self, run_id: str, state: RunState) -> None:
        """Let the run end so."""
        run = self.look(run_id)
        self._runs[run_id] = run.model_copy(update={"state": state, "ended_at_ms": run.created_at_ms + 1000})
