"""The types of a table's columns: what JSON values they take, what these become, and how they are described."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_INT_BOUNDS = {"int": 2**31, "long": 2**63}


def base_type(type_: str) -> str:
    """`decimal(9, 2)` -> decimal, and so on; Iceberg's and the use case's names."""
    return type_.split("(", maxsplit=1)[0].strip().lower()


def _integer(bits: str) -> Callable[[Any], int]:
    bound = _INT_BOUNDS[bits]

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise TypeError
        if not -bound <= value < bound:
            raise ValueError
        return int(value)

    return parse


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _exactly(kind: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError
        return value

    return parse


def parse_date(value: Any) -> date:
    """A day in ISO 8601, or a day."""
    return value if type(value) is date else date.fromisoformat(value)


def parse_timestamp(value: Any) -> datetime:
    """An instant in ISO 8601, or a datetime; without a zone, as in the table: UTC."""
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


PARSERS: dict[str, Callable[[Any], Any]] = {
    "string": _exactly(str),
    "uuid": _exactly(str),
    "boolean": _exactly(bool),
    "int": _integer("int"),
    "long": _integer("long"),
    "float": _number,
    "double": _number,
    "decimal": _number,
    "date": parse_date,
    "timestamp": parse_timestamp,
    "timestamptz": parse_timestamp,
}
"""By type, a JSON value -> a Python value; raises TypeError, ValueError or OverflowError for any other value."""


def known_type(type_: str) -> bool:
    """Whether a column of this type can be sent as JSON."""
    return base_type(type_) in PARSERS


def value_schema(type_: str) -> dict[str, Any]:
    """JSON schema of a column's value, null included."""
    base = base_type(type_)
    return {"type": [_JSON_TYPES.get(base, "string"), "null"], **_LIMITS.get(base, {})}


_LIMITS: dict[str, dict[str, Any]] = {
    "int": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"minimum": -(2**63), "maximum": 2**63 - 1},
    "date": {"format": "date"},
    "timestamp": {"format": "date-time"},
    "timestamptz": {"format": "date-time"},
}
_JSON_TYPES = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
}


def to_arrow(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pa.Table:
    """Rows as Arrow columns [rows], typed as in the source table (a decimal as double)."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "uuid": pa.string(),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "decimal": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
    }
    arrays = [pa.array([row[name] for row in rows], types[base_type(t)]) for name, t in columns.items()]
    return pa.table(arrays, names=list(columns))
