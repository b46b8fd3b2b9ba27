"""How the pipeline ended, as KFP tells its exit handler."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SUCCEEDED, FAILED, CANCELLED, UNKNOWN = "SUCCEEDED", "FAILED", "CANCELLED", "UNKNOWN"


@dataclass(frozen=True)
class FinalStatus:
    """`state` is SUCCEEDED, FAILED, CANCELLED, or UNKNOWN where the runner did not say."""

    state: str = UNKNOWN
    error: str = ""
    task: str = ""


def parse_status(text: str) -> FinalStatus:
    """KFP's `PipelineTaskFinalStatus` JSON (keys in camelCase or snake_case); odd content is UNKNOWN."""
    try:
        value = json.loads(text)
    except ValueError:
        return FinalStatus()
    if not isinstance(value, dict):
        return FinalStatus()
    state = str(value.get("state") or UNKNOWN).upper()
    task = value.get("pipelineTaskName") or value.get("pipeline_task_name") or ""
    known = state if state in {SUCCEEDED, FAILED, CANCELLED} else UNKNOWN
    return FinalStatus(known, _message(value), str(task))


def _message(value: dict[str, Any]) -> str:
    error = value.get("error", value.get("error_message"))
    if isinstance(error, dict):
        error = error.get("message") or error.get("code") or ""
    return str(error or "").strip()
