"""`table.partition_by`: Iceberg's transforms of declared columns, checked before a table is made. Pure.

Source of the types: Iceberg's table specification, "Partition Transforms".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CALL = re.compile(r"^\s*(\w+)\s*\(\s*(?:(\d+)\s*,\s*)?`?([^`,()]+?)`?\s*\)\s*$")
_DAYS = ("date", "timestamp")
_TYPES: dict[str, tuple[str, ...]] = {
    "identity": (),
    "year": _DAYS,
    "month": _DAYS,
    "day": _DAYS,
    "hour": ("timestamp",),
    "bucket": ("int", "long", "string", *_DAYS),
    "truncate": ("int", "long", "string"),
}
_WITH_WIDTH = ("bucket", "truncate")


@dataclass(frozen=True)
class Transform:
    """One entry: the transform as it is written and by Iceberg's name, its number, its column."""

    written: str
    kind: str
    width: int | None
    column: str


def transform_of(text: str) -> Transform:
    """What an entry says, e.g. `days(at)`, `bucket(16, id)` or a column's name, which is its identity."""
    call = _CALL.match(text)
    if call is None:
        return Transform("identity", "identity", None, text.strip().strip("`"))
    written, width, column = call.groups()
    return Transform(written, _kind(written.lower()), None if width is None else int(width), column.strip())


def partition_problem(text: str, columns: Mapping[str, str]) -> str:
    """What is wrong with one entry; empty: nothing.

    Args:
        text: the entry.
        columns: declared columns -> types.
    """
    asked = transform_of(text)
    written, kind, column = asked.written, asked.kind, asked.column
    if kind not in _TYPES:
        return f"{written!r} is no transform: years, months, days, hours, bucket(N, column) or truncate(N, column)"
    if (kind in _WITH_WIDTH) != (asked.width is not None):
        return f"{text!r}: " + ("a number comes first" if kind in _WITH_WIDTH else "it takes the column only")
    if column not in columns:
        return f"column {column!r} is not in table.columns"
    if kind != "identity" and columns[column] not in _TYPES[kind]:
        return f"column {column!r} is declared as {columns[column]}, of which there is no {written}"
    return ""


def _kind(name: str) -> str:
    """`days` and `day` are one."""
    return name[:-1] if name in {"years", "months", "days", "hours"} else name
