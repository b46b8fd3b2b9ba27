"""Finished tasks by fingerprint; an entry is used only while its artifacts are untouched."""

from __future__ import annotations

from pathlib import Path

from lakeloop.runners.process.fingerprint import complete
from lakeloop.runners.process.inputs import Values
from lakeloop.runners.process.records import from_record, intact, to_record
from lakeloop.runners.process.store import read_json, write_json


class Cache:
    """A folder of entries, shared by runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, fingerprint: str) -> tuple[Values, str] | None:
        """Outputs of an equal execution and the run they come from; None when there is none to trust."""
        entry = read_json(self._path(fingerprint))
        if entry is None:
            return None
        outputs = from_record(entry["outputs"])
        return (outputs, entry["run_id"]) if intact(outputs) else None

    def keep(self, fingerprint: str, outputs: Values, run_id: str) -> None:
        """Remember an execution, unless an artifact of it could change unseen."""
        if complete(outputs):
            write_json(self._path(fingerprint), {"outputs": to_record(outputs), "run_id": run_id})

    def _path(self, fingerprint: str) -> Path:
        return self._folder / fingerprint[:2] / f"{fingerprint}.json"
