"""The servers' log: one JSON object a line, on standard output, without anything that a caller sent."""

from __future__ import annotations

import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

from lakeloop.serving.http import Refused
from lakeloop.serving.rows import InvalidRequest

_SERVER_FAULT = 500


def log(event: str, level: str = "info", **facts: Any) -> None:
    """One line."""
    at = datetime.now(tz=UTC).isoformat(timespec="milliseconds")
    line = orjson.dumps({"at": at, "level": level, "event": event, **facts}, default=str)
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def log_failure(method: str, path: str, status: int, error: Exception) -> None:
    """A call that was not answered as asked. Never the error's text where it may quote the caller's values."""
    facts: dict[str, Any] = {
        "method": method[:16],
        "path": path,
        "status": status,
        "error": type(error).__name__,
    }
    if isinstance(error, Refused):
        facts["reason"] = str(error)
    elif status >= _SERVER_FAULT and not isinstance(error, InvalidRequest):
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        facts["at_code"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    log("failed", "error" if status >= _SERVER_FAULT else "warning", **facts)
