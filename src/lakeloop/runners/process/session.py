"""What all tasks of one run share."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from lakeloop.runners.process import ir
from lakeloop.runners.process.cache import Cache
from lakeloop.runners.process.environment import LocalSecrets
from lakeloop.runners.process.events import Listener
from lakeloop.runners.process.inputs import Values
from lakeloop.runners.process.options import RunOptions, TaskResult
from lakeloop.runners.process.scheduling import State
from lakeloop.runners.process.store import RunFolder
from lakeloop.runners.process.warm import WarmInterpreter


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a node of the graph ended.

    Attributes:
        fresh: whether a process was started for it, so that what follows may not be reused.
    """

    state: State
    outputs: Values = field(default_factory=Values)
    fresh: bool = False
    error: str = ""
    exit_code: int | None = None


class Stop:
    """Two degrees of stopping: ordinary tasks, then exit tasks too."""

    def __init__(self) -> None:
        self.ordinary = asyncio.Event()
        self.everything = asyncio.Event()
        self.reason = ""

    def request(self, reason: str) -> None:
        """Stop ordinary tasks; asked again, stop everything."""
        if self.ordinary.is_set():
            self.everything.set()
        self.reason = self.reason or reason
        self.ordinary.set()


@dataclass(slots=True)
class Session:
    """One run in this process: what it was asked, where it writes, and what has ended so far."""

    run_id: str
    pipeline: ir.Pipeline
    options: RunOptions
    folder: RunFolder
    cache: Cache | None
    secrets: LocalSecrets
    listener: Listener
    identity: Mapping[str, str]
    slots: asyncio.Semaphore
    stop: Stop
    resumed: bool
    warm: WarmInterpreter | None = None
    results: dict[str, TaskResult] = field(default_factory=dict)
    failures: list[tuple[str, int]] = field(default_factory=list)

    def identity_of(self, path: str, name: str) -> dict[str, str]:
        """The run's names and the task's, for placeholders."""
        task_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.run_id}/{path}"))
        return {**self.identity, "pipeline_task_name": name, "pipeline_task_uuid": task_uuid}

    def stop_for(self, *, shielded: bool) -> asyncio.Event:
        """The event that stops a task; an exit task is shielded from the first request."""
        return self.stop.everything if shielded else self.stop.ordinary


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the graph a node stands.

    Attributes:
        path: task names from the root, joined by slashes.
        fresh: whether something before it ran in this process.
        shielded: whether it belongs to an exit handler.
        caching: False when an enclosing task turned caching off.
    """

    path: str = ""
    fresh: bool = False
    shielded: bool = False
    caching: bool = True

    def below(self, name: str) -> str:
        """The path of a node in this one."""
        return f"{self.path}/{name}" if self.path else name
