"""What a trigger needs of a place where pipelines run."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.remote_run import Submission


class Submitter(Protocol):
    """Every call has a time limit, or lasts as long as the run it starts."""

    def start(self, submission: Submission) -> str:
        """The run of this name: found, or started once; its id.

        Raises:
            UserError: the place does not accept the pipeline or its arguments.
            ServiceAwayError: it does not answer; whether the run was started shows the next call.
        """

    def ended(self, run_id: str) -> bool:
        """Whether nothing of the run goes on, also because the place knows no such run.

        Raises:
            ServiceAwayError: it does not answer.
        """
