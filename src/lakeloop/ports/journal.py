"""The run journal: each step's documents, by pipeline run, for the report that closes the run."""

from __future__ import annotations

from typing import Any, Protocol


class RunJournal(Protocol):
    """Small JSON documents; the last write of a name wins."""

    def record(self, pipeline_run_id: str, name: str, document: Any) -> None:
        """Keep a document (a frozen value's `model_dump(mode="json")`), atomically."""

    def documents(self, pipeline_run_id: str) -> dict[str, Any]:
        """All documents of a run, by name."""

    def runs(self) -> list[str]:
        """Pipeline run ids, oldest first."""
