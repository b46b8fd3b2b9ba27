"""Jobs of a workbench's project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lakeloop.domain.workbench import RuntimeNeeds
from lakeloop.domain.workbench_jobs import Job, JobRun, JobSpec


class JobBoard(Protocol):
    """Every call is safe to repeat."""

    def runtime(self, needs: RuntimeNeeds) -> str:
        """Identifier of the runtime that has what is needed."""

    def jobs(self, names: Sequence[str]) -> list[Job]:
        """Jobs of these exact names, oldest first."""

    def place_scripts(self, scripts: Mapping[str, str]) -> list[str]:
        """Write scripts into the project where they differ; the paths written. Outside, nothing is written."""

    def create(self, spec: JobSpec) -> str:
        """Make a job; its id."""

    def update(self, job_id: str, spec: JobSpec) -> None:
        """Change a job."""

    def remove(self, job_id: str) -> None:
        """Remove a job and its runs' history."""

    def start(self, job_id: str, environment: Mapping[str, str]) -> str:
        """Start a run; its id. Its children start by themselves when it has succeeded."""

    def runs(self, job_id: str) -> list[JobRun]:
        """Runs of a job, oldest first."""
