"""Records of predictions in one JSON-lines file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_current: dict[str, Any] = {}


def _file() -> Path:
    return Path(os.environ["CAI_METRICS_FILE"])


def _append(record: dict[str, Any]) -> None:
    with _file().open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


@contextmanager
def prediction(uuid: str) -> Iterator[str]:
    """What is tracked inside belongs to this prediction."""
    start = time.time_ns() // 1_000_000
    _current.clear()
    yield uuid
    now = time.time_ns() // 1_000_000
    _append(
        {"predictionUuid": uuid, "startTimeStampMs": start, "endTimeStampMs": now, "metrics": dict(_current)}
    )


def track(key: str, value: Any) -> None:
    """Of the prediction under way."""
    _current[key] = value


def add(uuid: str, metrics: dict[str, Any]) -> None:
    """To an earlier prediction."""
    _append({"predictionUuid": uuid, "metrics": metrics})


def aggregate(metrics: dict[str, Any], start: int, end: int, crn: str | None) -> None:
    """Of a span."""
    _append({"modelDeploymentCrn": crn, "startTimeStampMs": start, "endTimeStampMs": end, "metrics": metrics})


def read(start: int | None, end: int | None) -> list[dict[str, Any]]:
    """Merged by prediction; aggregates have no uuid."""
    lines = _file().read_text(encoding="utf-8").splitlines() if _file().exists() else []
    merged: dict[str, dict[str, Any]] = {}
    for number, record in enumerate(json.loads(line) for line in lines):
        kept = merged.setdefault(record.get("predictionUuid") or f"aggregate {number}", {"metrics": {}})
        metrics = {**kept["metrics"], **record["metrics"]}
        kept |= {key: value for key, value in record.items() if value is not None} | {"metrics": metrics}
    inside = (r for r in merged.values() if (start or 0) <= r.get("endTimeStampMs", 0) <= (end or 2**63))
    return list(inside)
