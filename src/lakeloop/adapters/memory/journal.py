"""The run journal in memory, for tests."""

from __future__ import annotations

import copy
from typing import Any


class MemoryJournal:
    """Implements `lakeloop.ports.journal.RunJournal`."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[str, Any]] = {}

    def record(self, pipeline_run_id: str, name: str, document: Any) -> None:
        """Keep a document."""
        self._runs.setdefault(pipeline_run_id, {})[name] = copy.deepcopy(document)

    def documents(self, pipeline_run_id: str) -> dict[str, Any]:
        """All documents of a run, by name."""
        return copy.deepcopy(dict(sorted(self._runs.get(pipeline_run_id, {}).items())))

    def runs(self) -> list[str]:
        """Pipeline run ids, oldest first."""
        return list(self._runs)
