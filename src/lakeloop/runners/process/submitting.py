"""Runs on this machine, for a trigger: the run of a name is made once, and lasts as long as the call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.remote_run import Submission
from lakeloop.runners.process.options import RunOptions
from lakeloop.runners.process.running import run_pipeline


class ProcessSubmitter:
    """Implements `lakeloop.ports.submitter.Submitter`.

    Args:
        options_for: options of a run by its id, which is the submission's name.
        pipeline_file: the compiled pipeline of a name.
        lock_is_free: whether a run of this machine has ended, by its lock.
    """

    def __init__(
        self,
        options_for: Callable[[str], RunOptions],
        pipeline_file: Callable[[str], Path],
        lock_is_free: Callable[[str], bool],
    ) -> None:
        self._options_for, self._pipeline_file = options_for, pipeline_file
        self._lock_is_free = lock_is_free

    def start(self, submission: Submission) -> str:
        """The run of this name: found, or made; on return it has ended."""
        options = self._options_for(submission.name)
        if (options.runs_dir / submission.name).exists():
            return submission.name
        try:
            run_pipeline(self._pipeline_file(submission.pipeline), dict(submission.arguments), options)
        except LakeloopError:
            if not (options.runs_dir / submission.name).exists():
                raise
            # Somebody else started the run of this name at the same moment, or it broke: either way it is this run.
        return submission.name

    def ended(self, run_id: str) -> bool:
        """Whether the run's lock is free, or there is no such run."""
        known = (self._options_for(run_id).runs_dir / run_id).is_dir()
        return not known or self._lock_is_free(run_id)
