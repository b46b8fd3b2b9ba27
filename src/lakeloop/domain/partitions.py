"""`table.partition_by`: Iceberg's transforms of declared columns, checked before a table is made. Pure.

Source of the types: Iceberg's table specification, "Partition Transforms".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def partition_problem(text: str, columns: Mapping[str, str]) -> str:
    """What is wrong with one entry, e.g. `days(at)`, `bucket(16, id)` or a column's name; empty: nothing.

    Args:
        text: the entry.
        columns: declared columns -> types.
    """
    call = _CALL.match(text)
    if call is None:
        name = text.strip().strip("`")
        return "" if name in columns else f"column {name!r} is not in table.columns"
    kind, width, column = _kind(call[1].lower()), call[2], call[3].strip()
    if kind not in _TYPES:
        return f"{call[1]!r} is no transform: years, months, days, hours, bucket(N, column) or truncate(N, column)"
    if (kind in _WITH_WIDTH) != (width is not None):
        return f"{text!r}: " + ("a number comes first" if kind in _WITH_WIDTH else "it takes the column only")
    if column not in columns:
        return f"column {column!r} is not in table.columns"
    if kind != "identity" and columns[column] not in _TYPES[kind]:
        return f"column {column!r} is declared as {columns[column]}, of which there is no {call[1]}"
    return ""


def _kind(name: str) -> str:
    """`days` and `day` are one."""
    return name[:-1] if name in {"years", "months", "days", "hours"} else name
