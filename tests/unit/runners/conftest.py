from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lakeloop.runners.process import RunOptions, RunResult, run_pipeline
from lakeloop.runners.process.events import Event

GOLDEN = Path(__file__).parents[2] / "golden" / "runner_pipelines"


@dataclass
class Runs:
    """Runs golden pipelines in a scratch folder and remembers events and traces."""

    folder: Path
    events: list[Event] = field(default_factory=list)

    @property
    def trace_path(self) -> Path:
        return self.folder / "trace"

    def traces(self) -> list[str]:
        return self.trace_path.read_text().splitlines() if self.trace_path.exists() else []

    def options(self, **changes: Any) -> RunOptions:
        known = {
            "runs_dir": self.folder / "runs",
            "project_root": self.folder,
            "listener": self.events.append,
            "env": {"TRACE": str(self.trace_path)},
            "kill_grace_seconds": 0.3,
        }
        return RunOptions(**{**known, **changes})

    def run(self, name: str, arguments: dict[str, Any] | None = None, **changes: Any) -> RunResult:
        return run_pipeline(GOLDEN / f"{name}.yaml", arguments or {}, self.options(**changes))

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)
