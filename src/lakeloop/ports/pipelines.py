"""A service that runs compiled pipelines somewhere else."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.remote_run import RemoteRun, StepLog, Submission


class PipelineService(Protocol):
    """Every call has a time limit. A service that does not answer raises `ServiceAwayError`: try again later."""

    def start(self, submission: Submission) -> str:
        """The run of this name: found, or started once; its id. Of two that were started at once the older stays.

        Raises:
            UserError: the service does not accept the pipeline or its arguments.
            ServiceAwayError: it does not answer; whether the run was started shows the next call.
        """

    def find(self, name: str) -> str | None:
        """Id of the oldest run of this name."""

    def look(self, run_id: str) -> RemoteRun:
        """The run now.

        Raises:
            UserError: there is no such run.
            ServiceAwayError: the service does not answer.
        """

    def step_log(self, run_id: str, task: str, lines: int) -> StepLog | None:
        """The end of the newest attempt's log; None where logs cannot be read."""

    def terminate(self, run_id: str) -> None:
        """Ask the run to end now; one that has ended stays as it is."""

    def link(self, run_id: str) -> str:
        """Where a person can look at the run; the API's own address where no web page is configured."""
