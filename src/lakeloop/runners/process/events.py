"""What a run tells its listener while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LEFT = "left"
"""The state of a run that goes on elsewhere, and is followed no longer."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The pipeline was accepted; its first tasks start now."""

    run_id: str
    pipeline: str
    run_dir: Path | str
    resumed: bool
    not_applied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """An attempt of a task starts; its output goes to `log_path`."""

    path: str
    name: str
    attempt: int
    log_path: Path | None


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """The latest `::progress::` line of a running task."""

    path: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task succeeded."""

    path: str
    name: str
    seconds: float
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaskRetried:
    """An attempt failed; the next starts after the delay."""

    path: str
    name: str
    attempt: int
    delay_seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task failed for good."""

    path: str
    name: str
    seconds: float
    error: str
    exit_code: int
    log_tail: tuple[str, ...]
    log_path: Path | None


@dataclass(frozen=True, slots=True)
class TaskSkipped:
    """A task does not run: its condition is false, or a task before it failed."""

    path: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskCached:
    """A task's outputs come from an earlier run (`cached`) or an earlier attempt at this run (`reused`)."""

    path: str
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    """A running task was stopped."""

    path: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over, or followed no longer (`LEFT`); no `resume_command` where the same input cannot help."""

    run_id: str
    state: str
    seconds: float
    run_dir: Path | str
    resume_command: str


Event = (
    RunStarted
    | TaskStarted
    | TaskProgress
    | TaskFinished
    | TaskRetried
    | TaskFailed
    | TaskSkipped
    | TaskCached
    | TaskCancelled
    | RunFinished
)


class Listener(Protocol):
    """Receives every event, in order, in the thread that runs the pipeline."""

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""


def ignore_events(_: Event) -> None:
    """The listener that says nothing."""
