"""Rows of the batch-profile table."""

from __future__ import annotations

from dataclasses import dataclass

from lakeloop.domain.profile import ColumnProfile, Profile
from lakeloop.reporting import wording
from lakeloop.reporting.small_plots import spark

_LONGEST_VALUE = 24
_MOST_VALUES = 3


@dataclass(frozen=True)
class ProfileRow:
    """One column of the batch in words, with its distribution as a small drawing or its frequent values."""

    name: str
    type: str
    drawing: str
    frequent: str
    nulls: str
    invalid: str
    distinct: str
    low: str
    middle: str
    high: str
    mean: str


def profile_rows(profile: Profile) -> list[ProfileRow]:
    """One row a column, in the batch's order."""
    return [_row(number, column, profile.rows) for number, column in enumerate(profile.columns)]


def _row(number: int, column: ColumnProfile, rows: int) -> ProfileRow:
    return ProfileRow(
        name=column.name,
        type=column.type,
        drawing=_drawing(number, column),
        frequent="" if column.histogram else _frequent(column, rows),
        nulls=_share(column.nulls, rows),
        invalid=_share(column.invalid, rows),
        distinct=wording.whole(column.distinct),
        low=_value(column.min),
        middle=_value(column.quantiles.get("p50")),
        high=_value(column.max),
        mean=wording.compact(column.mean),
    )


def _drawing(number: int, column: ColumnProfile) -> str:
    if not column.histogram:
        return ""
    counts = [b.rows for b in column.histogram]
    low, high = _value(column.min), _value(column.max)
    return spark(counts, f"column-{number}", f"Histogram of {column.name}, from {low} to {high}")


def _frequent(column: ColumnProfile, rows: int) -> str:
    """The most frequent values, unless nearly each row has its own."""
    if not rows or not column.top or column.top[0].rows <= 1:
        return ""
    first = column.top[:_MOST_VALUES]
    return ", ".join(
        f"{wording.clipped(v.value, _LONGEST_VALUE)} {wording.percent(v.rows / rows, 0)}" for v in first
    )


def _share(count: int, rows: int) -> str:
    return wording.percent(count / rows, 2 if count < rows / 100 else 1) if count and rows else "0"


def _value(value: str | float | None) -> str:
    """A number in few digits, any other text clipped."""
    if value is None:
        return wording.ABSENT
    try:
        return wording.compact(float(value))
    except ValueError:
        return wording.clipped(str(value), _LONGEST_VALUE)
