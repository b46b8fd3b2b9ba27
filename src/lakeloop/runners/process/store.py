"""The run folder: state on disk that a killed run can be resumed from.

Layout::

    RUN_ID/run.json                            the request, and at the end the outcome
    RUN_ID/pipeline.yaml                       what was run
    RUN_ID/tasks/PATH/result.json              written last and atomically: the task ended, with these outputs
    RUN_ID/tasks/PATH/attempt-N/log.txt        what the process printed
    RUN_ID/tasks/PATH/attempt-N/log.started            somebody has taken the right to start it (zygote)
    RUN_ID/tasks/PATH/attempt-N/executor_input.json, executor_output.json, process.json, outputs/...

Only result.json says that outputs may be used: an attempt without it is a half-written one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import UserError


def write_json(path: Path, value: Any) -> None:
    """Write a document so that a reader sees the old or the new one, whole, even after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with scratch.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, sort_keys=True, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)


def read_json(path: Path) -> Any:
    """A document, or None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


class RunFolder:
    """Paths and documents of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_file(self) -> Path:
        """The run's own document."""
        return self.path / "run.json"

    def record(self, changes: Mapping[str, Any]) -> None:
        """Change some fields of run.json."""
        write_json(self.run_file, {**(read_json(self.run_file) or {}), **changes})

    def task(self, path: str) -> Path:
        """The folder of a task."""
        return self.path / "tasks" / path

    def result(self, path: str) -> Any:
        """What is known of a task that ended; None when it did not."""
        return read_json(self.task(path) / "result.json")

    def record_result(self, path: str, result: Mapping[str, Any]) -> None:
        """Mark a task as ended."""
        write_json(self.task(path) / "result.json", result)

    def attempts(self, path: str) -> int:
        """The highest attempt number so far."""
        numbers = [folder.name.removeprefix("attempt-") for folder in self.task(path).glob("attempt-*")]
        return max((int(number) for number in numbers if number.isdigit()), default=0)

    def logs(self) -> Iterator[Path]:
        """Where the log of each attempt so far is, or would have been."""
        return (folder / "log.txt" for folder in (self.path / "tasks").rglob("attempt-*"))

    def process_files(self) -> Iterator[Path]:
        """Records of the processes that were started and not seen to end."""
        return (self.path / "tasks").rglob("attempt-*/process.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; the lock goes with the process, however it dies.

        Raises:
            UserError: another process runs it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    "the run is going on in another process",
                    where=str(self.path),
                    fix="wait for it, or stop it",
                ) from None
            yield
