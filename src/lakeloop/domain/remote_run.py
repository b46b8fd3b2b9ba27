"""A pipeline run on a cluster, as its service tells it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from lakeloop.domain.base import Frozen

RunState = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
TaskState = Literal["waiting", "running", "succeeded", "skipped", "failed", "cancelled", "not_run"]
"""skipped: its condition is false. not_run: a task before it failed."""
PROGRESS, ERROR = "::progress::", "error: "
"""How steps' lines begin (`lakeloop.runtime.step`)."""
ENDED: frozenset[str] = frozenset({"succeeded", "skipped", "failed", "cancelled"})


class Submission(Frozen):
    """A run to be started. Its name is its identity: who looks for the name finds the run."""

    name: str = Field(min_length=1, max_length=200)
    experiment: str
    pipeline: str = Field(description="Folder of pipelines/: retrain, ingest, tidy, replay.")
    arguments: dict[str, JsonValue] = Field(description="Of the types that the pipeline declares.")
    description: str = ""
    keyed: bool = Field(default=False, description="Somebody else may be starting the run of this name, too.")


class RemoteTask(Frozen):
    """A task of the run; a loop's tasks come once an iteration, under one name."""

    task_id: str
    name: str = Field(description="As in the compiled pipeline, e.g. `train-model`.")
    state: TaskState
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    error: str = Field(default="", description="What the service says; the step's own line is in its log.")


class RemoteRun(Frozen):
    """One look at a run."""

    run_id: str
    name: str
    pipeline: str
    state: RunState
    created_at_ms: int
    ended_at_ms: int | None = None
    tasks: tuple[RemoteTask, ...] = ()
    error: str = ""
    use_case: str = Field(
        default="", description="Its name, from the run's arguments; empty where it has none."
    )

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


class StepLog(Frozen):
    """The end of a step's log."""

    attempt: int = Field(ge=1)
    lines: tuple[str, ...]
    pod: str = ""
    problem: str = Field(default="", description="Why the pod does not come up, or was ended.")
    exit_code: int | None = Field(default=None, description="The step's own, where its log tells.")

    @property
    def progress(self) -> str:
        """The latest `::progress::` line."""
        told = [line.removeprefix(PROGRESS) for line in self.lines if line.startswith(PROGRESS)]
        return told[-1].strip() if told else ""

    @property
    def error(self) -> str:
        """The step's one clear error, else why its pod ended, else its last line."""
        said = [line.removeprefix(ERROR) for line in self.lines if line.startswith(ERROR)]
        own = [line for line in self.lines if not line.startswith(PROGRESS)]
        return said[-1].strip() if said else self.problem or (own[-1].strip() if own else "")
