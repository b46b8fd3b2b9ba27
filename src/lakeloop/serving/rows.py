"""Raw rows as callers send them: checked against the model's source columns, then typed as in the table."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from lakeloop.serving.column_types import PARSERS, base_type, value_schema

MAX_ROWS = 10_000


class InvalidRequest(Exception):  # noqa: N818 - a caller's mistake, answered with 422
    """The request cannot be answered; the text names row and column and says what was expected."""


def parse_request(body: bytes, columns: Mapping[str, str], max_rows: int = MAX_ROWS) -> list[dict[str, Any]]:
    """Rows of a `{"rows": [{column: value}]}` body, values in Python types by column type.

    Raises:
        InvalidRequest: not JSON, other keys, no rows, too many, a missing or unknown column, a wrong type.
    """
    return typed_rows(counted(parse_json(body), "rows", max_rows), columns)


def parse_json(body: bytes) -> dict[str, Any]:
    """A body that is one JSON object.

    Raises:
        InvalidRequest: it is not.
    """
    request = json_value("the body", body)
    if not isinstance(request, dict):
        raise InvalidRequest(f"the body must be an object, not {_kind(request)}")
    return request


def json_value(name: str, said: bytes) -> Any:
    """Whatever stands there as JSON.

    Raises:
        InvalidRequest: it is no JSON; names what is not.
    """
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{name} is not JSON: {error}") from error


def counted(request: Mapping[str, Any], name: str, max_rows: int = MAX_ROWS) -> list[Any]:
    """The list of 1 to `max_rows` entries under `name`, the request's only key.

    Raises:
        InvalidRequest: it is something else.
    """
    rows = request.get(name)
    if len(request) != 1 or not isinstance(rows, list):
        raise InvalidRequest(f'the body must be an object with one key: {{"{name}": [...]}}')
    check_count(len(rows), name, max_rows)
    return rows


def check_count(count: int, name: str, max_rows: int = MAX_ROWS) -> None:
    """Whether so many of `name` may be sent at once.

    Raises:
        InvalidRequest: none, or too many.
    """
    if not count:
        raise InvalidRequest(f"{name} is empty: send at least one")
    if count > max_rows:
        raise InvalidRequest(f"{count} {name} are more than the {max_rows} allowed in one request")


def named_rows(rows: Sequence[Any], columns: Collection[str]) -> list[Any]:
    """Rows as objects: a list becomes one, of the columns in their order.

    Raises:
        InvalidRequest: a list of another count of values.
    """
    return [_named(index, row, columns) if isinstance(row, list) else row for index, row in enumerate(rows)]


def _named(index: int, row: list[Any], columns: Collection[str]) -> dict[str, Any]:
    if len(row) != len(columns):
        raise InvalidRequest(
            f"instance {index}: {len(row)} values; expected {len(columns)}: {', '.join(columns)}"
        )
    return dict(zip(columns, row, strict=True))


def typed_rows(rows: Sequence[Any], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows with values in Python types by column type.

    Args:
        rows: as JSON gives them; what is typed already stays as it is.
        columns: every column that a row must have -> its type; null is allowed as a value.

    Raises:
        InvalidRequest: a missing or unknown column, a wrong type.
    """
    return [_row(index, row, columns) for index, row in enumerate(rows)]


def _row(index: int, row: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise InvalidRequest(f"row {index}: must be an object of column: value, not {_kind(row)}")
    if row.keys() != columns.keys():
        missing = [c for c in columns if c not in row]
        unknown = [str(c)[:64] for c in row if c not in columns]
        problems = [f"missing column {c!r}" for c in missing] + [f"unknown column {c!r}" for c in unknown]
        raise InvalidRequest(f"row {index}: {', '.join(problems[:10])}; expected {', '.join(columns)}")
    return {name: _value(index, name, type_, row[name]) for name, type_ in columns.items()}


def _value(index: int, name: str, type_: str, value: Any) -> Any:
    if value is None:
        return None
    try:
        return PARSERS[base_type(type_)](value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"row {index}, column {name!r}: expected {type_}, got {_kind(value)}") from error


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "the text", bool: "the boolean", type(None): "null"}
    name = names.get(type(value), "the number")
    return name if isinstance(value, dict | list) or value is None else f"{name} {json.dumps(value)[:80]}"


def json_schema(columns: Mapping[str, str]) -> dict[str, Any]:
    """JSON schema of a request body, for the server's own documentation."""
    row = {
        "type": "object",
        "properties": {name: value_schema(t) for name, t in columns.items()},
        "required": list(columns),
        "additionalProperties": False,
    }
    rows = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": row}
    return {
        "type": "object",
        "properties": {"rows": rows},
        "required": ["rows"],
        "additionalProperties": False,
    }
