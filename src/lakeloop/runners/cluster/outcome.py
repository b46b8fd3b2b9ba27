"""How a run on a cluster ended: the exit code, and the failures in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.domain.step_record import STEP_PREFIX
from lakeloop.runners.cluster.changes import failed, failure_text
from lakeloop.runners.cluster.following import Followed

NAMED_CODES = frozenset({2, 3, 4})
"""Bad input, conflict, refused: `lakeloop.domain.errors`."""
INTERRUPTED = 130


def exit_code(followed: Followed, documents: Mapping[str, Any]) -> int:
    """As `lakeloop run` would leave: 0, 130 when terminated, a failed step's own code where it has a meaning, else 1.

    Args:
        followed: the run at its end.
        documents: the run's journal; empty where it cannot be read.
    """
    if followed.run.state == "succeeded":
        return 0
    if followed.run.state == "cancelled":
        return INTERRUPTED
    recorded = [doc["exit_code"] for doc in _failed_records(documents)]
    logged = [followed.logs[t.task_id].exit_code for t in failed(followed.run) if t.task_id in followed.logs]
    named = [code for code in (*recorded, *logged) if code in NAMED_CODES]
    return named[0] if named else 1


def failures(followed: Followed, documents: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Step and error line of each failed step: by its log, else by the journal, else by the service."""
    by_journal = {doc["step"].replace("_", "-"): doc["error"] for doc in _failed_records(documents)}
    found = []
    for task in failed(followed.run):
        log = followed.logs.get(task.task_id)
        text = (log.error if log else "") or by_journal.get(task.name, "") or task.error
        if not text and followed.run.state == "cancelled":
            text = "stopped when the run was terminated"
        text = text or failure_text(task, log)
        found.append((task.name, text))
    if not found and followed.run.state == "failed":
        found = [
            (followed.run.pipeline or "run", followed.run.error or "no step failed: see the run's own page")
        ]
    return found


def _failed_records(documents: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    records = [doc for name, doc in documents.items() if name.startswith(STEP_PREFIX)]
    bad = [doc for doc in records if doc.get("state") == "failed"]
    return sorted(bad, key=lambda doc: doc.get("started_at_ms", 0))
