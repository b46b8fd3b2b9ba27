"""pydantic's findings as lines a person can act on: `file:line: key.path: problem -> nearest valid key`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from lakeloop.domain.use_case import UseCase
from lakeloop.use_case_files.strict_yaml import line_of, line_of_value

if TYPE_CHECKING:
    import yaml

Location = tuple[str | int, ...]
_CONSISTENCY = re.compile(r"^(?P<where>[a-z_.]+): (?P<text>.*)$")
_NEXT = re.compile(r"; (?=[a-z_.]+: )")
_QUOTED = re.compile(r"'([^']+)'")


_model: ContextVar[type[BaseModel]] = ContextVar("model", default=UseCase)
"""What the file is read as: its schema knows the valid keys."""


def problems(
    path: Path, error: ValidationError, root: yaml.Node, model: type[BaseModel] = UseCase
) -> list[str]:
    """One line a problem, in the file's order, without repetition."""
    token = _model.set(model)
    try:
        found = sorted({found for detail in error.errors() for found in _read(detail, root)})
    finally:
        _model.reset(token)
    return [f"{path}:{line}: {text}" for line, text in found]


def _read(detail: Any, root: yaml.Node) -> Iterator[tuple[int, str]]:
    location: Location = detail["loc"]
    if detail["type"] == "value_error" and not location:
        yield from _inconsistencies(str(detail["ctx"]["error"]), root)
        return
    key = ".".join(map(str, _written(location)))
    yield line_of(root, location), f"{key}: {_text(detail)}" if key else _text(detail)


def _inconsistencies(text: str, root: yaml.Node) -> Iterator[tuple[int, str]]:
    """`UseCase`'s own cross-checks: `where: problem; where: problem`."""
    for problem in _NEXT.split(text):
        match = _CONSISTENCY.match(problem)
        where: Location = tuple(match["where"].split(".")) if match else ()
        quoted = _QUOTED.search(problem)
        line = line_of_value(root, where, quoted[1]) if quoted else line_of(root, where)
        yield (
            line,
            problem + (_nearest(quoted[1], _columns(root)) if quoted and "is not in" in problem else ""),
        )


def _columns(root: yaml.Node) -> list[str]:
    for step in ("table", "columns"):
        root = next((value for key, value in root.value if key.value == step), root)
    return [str(key.value) for key, _ in root.value]


def _text(detail: Any) -> str:  # noqa: PLR0911 - one return a kind of problem
    location: Location = detail["loc"]
    match detail["type"]:
        case "extra_forbidden":
            keys = _keys_at(location[:-1])
            return "no such key" + (
                _nearest(str(location[-1]), keys) or f" -> one of: {', '.join(sorted(keys))}"
            )
        case "missing":
            return f"is missing{_described(location)}"
        case "string_type" if isinstance(detail["input"], bool):
            return f"YAML reads this as {str(detail['input']).lower()} -> put it in quotes"
        case "literal_error" | "union_tag_invalid":
            expected = detail["ctx"].get("expected") or detail["ctx"]["expected_tags"]
            given = detail["ctx"].get("tag", detail["input"])
            return f"{given!r} is not one of {expected}{_nearest(str(given), _QUOTED.findall(expected))}"
        case "union_tag_not_found":
            kinds = list(_at(location).get("discriminator", {}).get("mapping", {}))
            return f"kind is missing -> kind: {', '.join(kinds[:-1])} or {kinds[-1]}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            message = re.sub(r"^(Input|String|Value) should", "should", detail["msg"])
            return f"{message}, not {detail['input']!r}" if _is_scalar(detail["input"]) else message


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _nearest(given: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(given, valid, n=1, cutoff=0.6)
    return f" -> did you mean {near[0]}?" if near else ""


def _written(location: Location) -> Location:
    """The location as the file has it: without the tags that pydantic adds for the members of a union."""
    schema, written = _schema(), []
    for step in location:
        schema, is_key = _descend(schema, step)
        written += [step] if is_key else []
    return tuple(written)


def _at(location: Location) -> dict[str, Any]:
    schema = _schema()
    for step in location:
        schema, _ = _descend(schema, step)
    return schema


def _described(location: Location) -> str:
    schema = _at(location)
    text = schema.get("description") or _resolved(schema).get("description", "")
    return f" -> {text}" if text else ""


def _keys_at(location: Location) -> list[str]:
    return list(_resolved(_at(location)).get("properties", {}))


def _schema() -> dict[str, Any]:
    return _schema_of(_model.get())


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(_schema()["$defs"][schema["$ref"].rsplit("/", 1)[-1]])
    members = schema.get("anyOf", [])
    objects = [member for member in members if "$ref" in member or "properties" in member]
    return _resolved(objects[0]) if len(objects) == 1 else schema


def _descend(schema: dict[str, Any], step: str | int) -> tuple[dict[str, Any], bool]:
    """The schema one step down, and whether the step is a key of the file."""
    schema = _resolved(schema)
    tagged = schema.get("discriminator", {}).get("mapping", {})
    if step in tagged:
        return {"$ref": tagged[step]}, False
    if isinstance(step, int):
        return schema.get("items", {}), True
    if step in schema.get("properties", {}):
        return schema["properties"][step], True
    if isinstance(schema.get("additionalProperties"), dict):
        return schema["additionalProperties"], True
    # An unknown key of an object is a key; below a scalar only a union's member name can follow.
    return {}, "properties" in schema
