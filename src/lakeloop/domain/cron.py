"""Cron expressions as Kubeflow Pipelines reads them: six fields, seconds first, UTC (github.com/robfig/cron)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_PART = re.compile(r"^(?P<from>\*|\?|\w+)(?:-(?P<to>\w+))?(?:/(?P<step>\d+))?$")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    any_day: bool = False


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, any_day=True),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS, any_day=True),
)


def cron_problem(text: str) -> str:
    """What is wrong with the expression; empty where nothing is."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        short = len(fields) == len(_FIELDS) - 1
        hint = "; the first is the second, e.g. 0 30 2 * * * for half past two" if short else ""
        return f"a cron expression has {len(_FIELDS)} fields, this has {len(fields)}{hint}"
    for field, given in zip(_FIELDS, fields, strict=True):
        for part in given.split(","):
            problem = _part_problem(field, part)
            if problem:
                return f"{field.name} {given!r}: {problem}"
    return ""


def _part_problem(field: _Field, part: str) -> str:
    found = _PART.match(part)
    if not found:
        return f"{part!r} is neither a number, *, a range nor a step"
    start, end, step = found["from"], found["to"], found["step"]
    if start == "?" and not field.any_day:
        return "'?' is for days only"
    given = [*([] if start in "*?" else [start]), *([end] if end is not None else [])]
    bounds = [_number(field, text) for text in given]
    numbers = [number for number in bounds if number is not None]
    if len(numbers) < len(bounds) or (start in "*?" and end is not None):
        return f"{part!r} is not within {field.low} to {field.high}"
    if numbers != sorted(numbers):
        return f"{part!r} ends before it begins"
    return "a step of 0 never comes" if step is not None and int(step) == 0 else ""


def _number(field: _Field, text: str) -> int | None:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.low
    if not text.isdecimal() or not field.low <= int(text) <= field.high:
        return None
    return int(text)
