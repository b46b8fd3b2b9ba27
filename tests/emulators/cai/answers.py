"""Answers as the API writes them: fields of the message only, int64 as text, environment as JSON text."""

from __future__ import annotations

import json
from typing import Any

from tests.emulators.cai.description import MESSAGES


def as_message(message: str, value: dict[str, Any], *, environment_as_map: bool = False) -> dict[str, Any]:
    """A value as this message.

    Args:
        message: its name in the description.
        value: fields, and keys of the emulator's own.
        environment_as_map: some versions answer with an object where the description says string.
    """
    found: dict[str, Any] = {}
    for name, type_ in MESSAGES[message].items():
        if name not in value or value[name] is None:
            continue
        item = value[name]
        if name == "environment" and isinstance(item, dict) and type_ == "string":
            found[name] = item if environment_as_map else json.dumps(item)
        else:
            found[name] = _written(type_, item, environment_as_map=environment_as_map)
    return found


def _written(type_: str, item: Any, *, environment_as_map: bool) -> Any:
    if type_.startswith("[") and isinstance(item, list):
        return [_written(type_.strip("[]"), one, environment_as_map=environment_as_map) for one in item]
    if type_ == "int64":
        return str(item)
    if type_ in MESSAGES and isinstance(item, dict):
        return as_message(type_, item, environment_as_map=environment_as_map)
    return item


def oddly(value: Any) -> Any:
    """The same answer of another version: fields that nobody has told of, null for an empty list, int64 as number.

    Names, too, may look like numbers: only what the description calls int64 is changed.
    """
    if isinstance(value, list):
        return [oddly(item) for item in value] or None
    if isinstance(value, dict):
        known = {
            k: int(v) if k in _INT64 and isinstance(v, str) and v else oddly(v) for k, v in value.items()
        }
        return {"@type": "type.googleapis.com/odd", **known, "reconcile_hint": {"after": [1, None]}}
    return value


_INT64 = frozenset(name for fields in MESSAGES.values() for name, type_ in fields.items() if type_ == "int64")
