"""How dates and times are written in files where that is not ISO 8601, read alike by both engines. Pure.

Directives are those of C's strptime that both engines read in the same way; a year has four digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lakeloop.domain.dialects import Dialect

EPOCHS = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1_000}
"""Numbers since 1970 in UTC -> microseconds a unit."""


@dataclass(frozen=True)
class _Directive:
    """Java's letters, alone and among digits, and the text that is taken."""

    alone: str
    joined: str
    text: str


_NUMBER = r"\d{1,2}"
_DIRECTIVES = {
    "Y": _Directive("yyyy", "yyyy", r"\d{4}"),
    "m": _Directive("M", "MM", _NUMBER),
    "d": _Directive("d", "dd", _NUMBER),
    "H": _Directive("H", "HH", _NUMBER),
    "I": _Directive("h", "hh", _NUMBER),
    "M": _Directive("m", "mm", _NUMBER),
    "S": _Directive("s", "ss", _NUMBER),
    "f": _Directive("SSSSSS", "SSSSSS", r"\d{6}"),
    "p": _Directive("a", "a", "(?i:am|pm)"),
    "b": _Directive("MMM", "MMM", "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
    "z": _Directive("XXX", "XXX", r"[+-]\d{2}:\d{2}"),
}


def problem_of(time_format: str) -> str:
    """What is wrong with a declared format; empty when nothing is."""
    if time_format in EPOCHS:
        return ""
    found = {part[1:] for part in _parts(time_format) if part.startswith("%")}
    known = ", ".join(f"%{letter}" for letter in _DIRECTIVES)
    if unknown := sorted(found - set(_DIRECTIVES)):
        return f"%{unknown[0]} is not read here; use {known}, or {' or '.join(EPOCHS)}"
    month = {"m", "b"} & found
    if not {"Y", "d"} <= found or not month:
        return f"a day needs %Y, %m (or %b) and %d; or use {' or '.join(EPOCHS)}"
    return "%I needs %p, and %p needs %I" if ("I" in found) != ("p" in found) else ""


def instant(dialect: Dialect, column: str, time_format: str) -> str:
    """SQL for the instant that a raw value says, in UTC where it names no zone; null where it is not so written.

    Args:
        dialect: of the engine.
        column: SQL of the raw value, text or number.
        time_format: a declared format without `problem_of`.
    """
    text = f"CAST({column} AS {'STRING' if dialect.name == 'spark' else 'VARCHAR'})"
    if time_format in EPOCHS:
        scaled = f"CAST(TRY_CAST({column} AS DECIMAL(20, 6)) * {EPOCHS[time_format]} AS BIGINT)"
        moment = f"timestamp_micros({scaled})" if dialect.name == "spark" else f"make_timestamp({scaled})"
        return f"(CASE WHEN {_matches(dialect, text, _EPOCH_TEXT)} THEN {moment} END)"
    if dialect.name == "spark":
        moment = f"try_to_timestamp({text}, {dialect.text(_java(time_format))})"
    else:
        moment = f"make_timestamp(epoch_us(try_strptime({text}, {dialect.text(time_format)})))"
    return f"(CASE WHEN {_matches(dialect, text, _pattern(time_format))} THEN {moment} END)"


_EPOCH_TEXT = r"-?\d{1,13}(\.\d+)?"


def _matches(dialect: Dialect, text: str, pattern: str) -> str:
    if dialect.name == "spark":
        return f"({text} RLIKE {dialect.text(f'^({pattern})$')})"
    return f"regexp_full_match({text}, {dialect.text(pattern)})"


def _parts(time_format: str) -> list[str]:
    return re.findall(r"%.?|[^%]+", time_format, re.DOTALL)


def _pattern(time_format: str) -> str:
    """What the text looks like: two digits a number, or one where none can follow."""
    words = []
    for part, joined in _joined(time_format):
        text = _DIRECTIVES[part[1]].text if part.startswith("%") else re.escape(part)
        words.append(r"\d{2}" if joined and text == _NUMBER else text)
    return "".join(words)


def _java(time_format: str) -> str:
    """Java counts letters: one takes one or two digits, but only where no digit can follow."""
    words = []
    for part, joined in _joined(time_format):
        if part.startswith("%"):
            words.append(_DIRECTIVES[part[1]].joined if joined else _DIRECTIVES[part[1]].alone)
        else:
            words.append("'" + part.replace("'", "''") + "'")
    return "".join(words)


def _joined(time_format: str) -> list[tuple[str, bool]]:
    """Each part, and whether another directive stands beside it."""
    parts = _parts(time_format)
    beside = [[*parts[max(i - 1, 0) : i], *parts[i + 1 : i + 2]] for i in range(len(parts))]
    return [
        (part, any(other.startswith("%") for other in others))
        for part, others in zip(parts, beside, strict=True)
    ]
