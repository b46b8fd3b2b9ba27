"""What a command prints: data to stdout, talk to stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_printed: list[bool] = []


def data(text: str) -> None:
    """A line of the answer."""
    _printed.append(True)
    print(text)  # noqa: T201


def answered() -> bool:
    """Whether some of the answer is on stdout already."""
    return bool(_printed)


def as_json(value: Any) -> None:
    """The answer as one JSON document, and nothing else on stdout."""
    data(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """What goes on, for a person."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def program() -> str:
    """How the caller can call lakeloop again: by name where PATH finds it, else as it was called."""
    called = Path(sys.argv[0])
    if called.name != "lakeloop" or shutil.which("lakeloop") is not None:
        return "lakeloop"
    below = os.path.relpath(called)
    return str(called) if below.startswith("..") else below


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines with columns as wide as their widest cell; numbers stand to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    return [_line(row, widths, right) for row in ([*header], *cells)]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
    return "  ".join(padded).rstrip()


def moment(at_ms: int) -> str:
    """Milliseconds since the epoch as UTC, to the second."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
