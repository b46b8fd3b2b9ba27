"""Guesses from facts: key, event time, label, features. What cannot be guessed is asked for by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lakeloop.domain.errors import UserError
from lakeloop.domain.table_facts import NUMERIC, TIME_NAMES, ColumnFacts, TableFacts

LABEL_NAMES = re.compile(
    r"(^|_)(label|target|y|fraud|churn(ed)?|default(ed)?|late|failure|failed|fail|is|has|outcome|clicked|converted)(_|$)",
    re.IGNORECASE,
)
KEY_NAMES = re.compile(r"(^|_)(id|key|uuid|number|no|nr)$|id$", re.IGNORECASE)
POSITIVE = ("1", "true", "yes", "y", "t", "positive", "pos", "fraud", "late", "churned", "failed")
MAX_CATEGORIES = 500
ROWS_A_CATEGORY = 5
BINARY = 2


@dataclass(frozen=True)
class Wishes:
    """What the caller said; the rest is guessed."""

    label: str | None = None
    event_time: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choices:
    """What a draft is made of; `left_out` has a reason for each column that is no feature."""

    key: tuple[str, ...]
    key_is_unique: bool
    event_time: str
    label: str
    positive: str | None
    positives: int
    features: tuple[ColumnFacts, ...]
    left_out: dict[str, str]


def choose(facts: TableFacts, wishes: Wishes) -> Choices:
    """Key, event time, label and features.

    Raises:
        UserError: a wish names no column, or a guess is not possible; says which option to give.
    """
    _known(facts, wishes)
    event_time = wishes.event_time or _event_time(facts)
    label = _label(facts, wishes, event_time)
    key, unique = _key(facts, wishes, label.name)
    positive, positives = _positive(label)
    used = {*key, event_time, label.name}
    rest = [column for column in facts.columns if column.name not in used]
    reasons = {column.name: reason for column in rest if (reason := _unfit(column, facts.rows))}
    features = tuple(column for column in rest if column.name not in reasons)
    if not features:
        raise UserError("no column is left to be a feature", where=facts.source, fix="give more columns")
    return Choices(key, unique, event_time, label.name, positive, positives, features, reasons)


def _known(facts: TableFacts, wishes: Wishes) -> None:
    for option, name in [
        ("--label", wishes.label),
        ("--event-time", wishes.event_time),
        *(("--key", k) for k in wishes.key),
    ]:
        if name and facts.column(name) is None:
            names = ", ".join(column.name for column in facts.columns)
            raise UserError(f"there is no column {name!r}", where=option, fix=f"one of: {names}")


def _event_time(facts: TableFacts) -> str:
    times = [c for c in facts.columns if c.type in {"timestamp", "date"} and c.nulls == 0]
    if not times:
        odd = [f"{c.name} is {c.remark}" for c in facts.columns if c.remark]
        raise UserError(
            "no column says when a row happened" + (f" ({'; '.join(odd)})" if odd else ""),
            where=facts.source,
            fix="a timestamp or date column without nulls is needed: rows are held out in time order",
        )
    return max(times, key=lambda c: (c.type == "timestamp", bool(TIME_NAMES.search(c.name)), c.distinct)).name


def _label(facts: TableFacts, wishes: Wishes, event_time: str) -> ColumnFacts:
    if wishes.label:
        column = facts.column(wishes.label)
        if column is not None and column.distinct == BINARY:
            return column
        found = column.distinct if column else 0
        raise UserError(
            f"the label {wishes.label!r} has {found:,} values, and a binary label has two",
            where=facts.source,
            fix="name a two-valued column, or make one",
        )
    two_valued = [c for c in facts.columns if c.distinct == BINARY and c.name != event_time]
    likely = [c for c in two_valued if LABEL_NAMES.search(c.name)] or two_valued
    if len(likely) != 1:
        names = ", ".join(c.name for c in likely) or "none has two values"
        raise UserError(f"cannot tell the label ({names})", where=facts.source, fix="give --label COLUMN")
    return likely[0]


def _key(facts: TableFacts, wishes: Wishes, label: str) -> tuple[tuple[str, ...], bool]:
    found = [names for names in facts.unique if label not in names]
    if wishes.key:
        return wishes.key, any(set(names) <= set(wishes.key) for names in found)
    if not found:
        raise UserError(
            "no column, pair or triple of columns identifies a row",
            where=facts.source,
            fix="give --key COLUMN (repeat it for several)",
        )
    return max(found, key=lambda names: (bool(KEY_NAMES.search(names[0])), -len(names))), True


def _positive(label: ColumnFacts) -> tuple[str | None, int]:
    """The value to declare (None where 1/true already says it), and its rows."""
    by_lower = {value.lower(): value for value in label.values}
    named = next((by_lower[value] for value in POSITIVE if value in by_lower), None)
    value = named or min(label.values, key=lambda v: label.values[v])
    plain = label.type == "boolean" or (
        label.type in NUMERIC and set(label.values) <= {"0", "1", "0.0", "1.0"}
    )
    return None if plain else value, label.values[value]


def _unfit(column: ColumnFacts, rows: int) -> str:
    if column.type is None:
        return column.remark
    if column.distinct <= 1:
        return "one value only"
    if column.type in {"date", "timestamp"}:
        return "a moment; derive a feature with an expression"
    if column.type == "string" and column.distinct > min(MAX_CATEGORIES, rows / ROWS_A_CATEGORY):
        return f"{column.distinct:,} different texts"
    return ""
