"""Parameter values as Kubeflow Pipelines carries them: JSON values whose numbers are doubles.

Protocol: `google.protobuf.Value` (every number is an IEEE double) and the text forms of the KFP
launcher, which writes doubles with the fewest digits and without an exponent. An integer above 2**53
therefore loses digits here exactly as it does on a cluster: carry identifiers as strings.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Final

NUMBERS: Final = frozenset({"NUMBER_INTEGER", "NUMBER_DOUBLE"})
STRUCTS: Final = frozenset({"STRUCT", "TASK_FINAL_STATUS"})
PARAMETER_TYPES: Final = frozenset({"STRING", "BOOLEAN", "LIST"}) | NUMBERS | STRUCTS

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT64: Final = 2**63


class ValueMismatchError(ValueError):
    """A value does not have the declared parameter type."""


def canonical(value: Any) -> Any:
    """The value after a passage through protobuf: numbers are doubles, whole doubles are shown as integers.

    Raises:
        ValueMismatchError: the value is not JSON, or holds a number that is not finite.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float)):
        return _double(value)
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    raise ValueMismatchError(f"{type(value).__name__} is not a JSON value")


def _double(value: float) -> int | float:
    try:
        number = float(value)
    except OverflowError:
        raise ValueMismatchError(f"{value} does not fit a double") from None
    if not math.isfinite(number):
        raise ValueMismatchError(f"{number} is not a finite number")
    return int(number) if number.is_integer() else number


def json_text(value: Any) -> str:
    """Compact JSON with sorted keys, numbers as doubles."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def to_text(value: Any) -> str:
    """The text that a program receives for a parameter, as the KFP launcher writes it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return format(Decimal(repr(float(value))), "f").removesuffix(".0")
    return json_text(value)


def type_name(value: Any) -> str:
    """The parameter type a JSON value has, in a reader's words."""
    names = {bool: "boolean", str: "string", list: "list", dict: "struct", type(None): "null"}
    return names.get(type(value), "number")


def coerce(value: Any, parameter_type: str) -> Any:
    """Check a value against the declared type; a STRING takes any value as text, as KFP's driver does.

    Raises:
        ValueMismatchError: naming what was expected and what was given.
    """
    value = canonical(value)
    if parameter_type == "STRING":
        return value if isinstance(value, str) else to_text(value)
    if _fits(value, parameter_type):
        return value
    raise ValueMismatchError(f"expected {parameter_type}, got {type_name(value)} {_short(value)}")


def _fits(value: Any, parameter_type: str) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    checks = {
        "BOOLEAN": isinstance(value, bool),
        "NUMBER_DOUBLE": is_number,
        "NUMBER_INTEGER": is_number and isinstance(value, int),
        "LIST": isinstance(value, list),
    }
    return checks.get(parameter_type, parameter_type in STRUCTS and isinstance(value, dict))


def parse_output(text: str, parameter_type: str) -> Any:
    """Read the text of an output parameter's file as its declared type.

    Raises:
        ValueMismatchError: the text is not of that type.
    """
    if parameter_type == "STRING":
        return text
    if parameter_type in NUMBERS:
        return _parse_number(text.strip(), parameter_type)
    if parameter_type == "BOOLEAN":
        return _parse_boolean(text.strip())
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueMismatchError(f"expected {parameter_type} as JSON, got {_short(text)}") from None
    return coerce(value, parameter_type)


def _parse_number(text: str, parameter_type: str) -> int | float:
    pattern = _INTEGER if parameter_type == "NUMBER_INTEGER" else _DOUBLE
    if not pattern.fullmatch(text):
        raise ValueMismatchError(f"expected {parameter_type}, got {_short(text)}")
    if parameter_type == "NUMBER_INTEGER":
        number = int(text)
        if not -_INT64 <= number < _INT64:
            raise ValueMismatchError(f"expected a 64-bit integer, got {_short(text)}")
        return _double(number)
    return _double(float(text))


def _parse_boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueMismatchError(f"expected BOOLEAN (true or false), got {_short(text)}")


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
