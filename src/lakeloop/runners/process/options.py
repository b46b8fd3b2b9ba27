"""How a run is started, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lakeloop.runners.process.events import Listener
from lakeloop.runners.process.scheduling import GOOD, State


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """What stands in for an image: words before the command, variables beside the container's own."""

    prefix: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where and how a run happens.

    Attributes:
        runs_dir: parent of the run folders.
        project_root: working directory of every task.
        run_id: name of a new run; made from the time when None.
        resume: id of a failed, cancelled or killed run to go on with.
        max_parallel: processes at once.
        cache_dir: where fingerprints of finished tasks are kept; None turns caching off.
        code_digest: digest of the code that the tasks run; part of every fingerprint. When empty, only
            tasks whose image is pinned by digest are cached, since a tag does not say what the code is.
        listener: told about every event.
        env: variables for every task, over the parent's environment and under the container's own; part of
            every fingerprint.
        secrets_path: YAML file name -> key -> value standing in for secrets and config maps; by default
            the file named by the variable LAKELOOP_LOCAL_SECRETS.
        entry_points: image (with or without tag) -> what stands in for it.
        preload: modules that a warm interpreter imports at once; steps of this Python that start after that are
            forked from it. Empty: every step starts a new interpreter.
        preload_later: modules that it imports while the first forked step runs.
        hold_before: names of tasks that this process does not start; the run ends as `held` before them, and a
            resume goes on with them.
        kill_grace_seconds: time between SIGTERM and SIGKILL when a task is stopped.
        resume_command: shown after a failure; `{run_id}` is filled in.
    """

    runs_dir: Path
    project_root: Path
    run_id: str | None = None
    resume: str | None = None
    max_parallel: int = 4
    cache_dir: Path | None = None
    code_digest: str = ""
    listener: Listener | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets_path: Path | None = None
    entry_points: Mapping[str, EntryPoint] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    preload_later: tuple[str, ...] = ()
    hold_before: frozenset[str] = frozenset()
    kill_grace_seconds: float = 10.0
    resume_command: str = "lakeloop run --resume {run_id}"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How one task ended.

    Attributes:
        state: succeeded; held (left for a resume); cached (an earlier run's outputs); reused (finished
            before this run was resumed); skipped (a condition was false); failed; cancelled; not_run (a task before
            it failed).
        seconds: wall time of all attempts in this process; 0 when nothing ran.
        attempts: how many processes were started for it, in all.
        outputs: parameter values, and the URI of each artifact.
        exit_code: of the last attempt; None when none ended by itself.
    """

    state: State
    seconds: float = 0.0
    attempts: int = 0
    log_path: Path | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    exit_code: int | None = None

    @property
    def good(self) -> bool:
        """Whether the task did, or rightly did not do, its work."""
        return self.state in GOOD


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        exit_code: 0, also of a run that was held; 2 when the first task that failed left with 2 (the input is
            wrong); otherwise 1; 130 when the run was cancelled.
        tasks: by path, e.g. `exit-handler-1/condition-2/train-model`.
        outputs: the pipeline's own outputs.
    """

    run_id: str
    state: Literal["succeeded", "held", "failed", "cancelled"]
    exit_code: int
    tasks: Mapping[str, TaskResult]
    run_dir: Path
    outputs: Mapping[str, Any] = field(default_factory=dict)
