"""The placeholders of a KFP command line: parsed once, checked before the run, rendered in one pass.

Rendering never scans what it inserted, so a value that looks like a placeholder stays a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lakeloop.runners.process.values import to_text

_MARK = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_NAME: Final = r"\['(?P<name>[^']+)'\]"
_KEY: Final = r"(?:\['(?P<key>[^']+)'\])?"
_ESCAPE: Final = r"(?:\.json_escape\[(?P<escape>[0-9])\])?"
_IDENTITY: Final = (
    "pipeline_root|pipeline_task_(?:name|uuid)"
    "|pipeline_job_(?:name|resource_name|uuid|create_time_utc|schedule_time_utc)"
)
_FORMS: Final = tuple(
    (kind, re.compile(pattern + _ESCAPE))
    for kind, pattern in (
        ("executor_input", r""),
        ("input_parameter", rf"\.inputs\.parameters{_NAME}"),
        ("input_path", rf"\.inputs\.artifacts{_NAME}\.path"),
        ("input_uri", rf"\.inputs\.artifacts{_NAME}\.uri"),
        ("input_metadata", rf"\.inputs\.artifacts{_NAME}\.metadata{_KEY}"),
        ("input_artifacts", rf"\.inputs\.artifacts{_NAME}"),
        ("output_file", rf"\.outputs\.parameters{_NAME}\.output_file"),
        ("output_path", rf"\.outputs\.artifacts{_NAME}\.path"),
        ("output_uri", rf"\.outputs\.artifacts{_NAME}\.uri"),
        ("executor_output", r"\.outputs\.output_file|\.outputMetadataUri"),
        ("identity", rf"\.(?P<name>{_IDENTITY})"),
    )
)


class PlaceholderError(ValueError):
    """A placeholder that this runner does not know, or that has no value."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `{{$...}}`: its kind, what it names, a metadata key, and how often to JSON-escape."""

    text: str
    kind: str
    name: str = ""
    key: str = ""
    escape: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text mixed with placeholders; renders to one argument."""

    parts: tuple[str | Placeholder, ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """`ConcatPlaceholder`: items joined to one argument."""

    items: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class IfPresent:
    """`IfPresentPlaceholder`: one of two lists of arguments, by the presence of an input."""

    input_name: str
    then: tuple[Argument, ...]
    otherwise: tuple[Argument, ...]


Argument = Text | Concat | IfPresent


@dataclass(frozen=True, slots=True)
class Context:
    """What placeholders may refer to while one task renders its command."""

    executor_input: Mapping[str, Any]
    identity: Mapping[str, str]
    paths: Mapping[str, str] = field(default_factory=dict)
    """Local path by artifact URI; a URI absent here is remote and has no path on this machine."""


def parse_text(text: str) -> Text:
    """Split a text at its placeholders.

    Raises:
        PlaceholderError: a `{{$...}}` of an unknown form.
    """
    parts: list[str | Placeholder] = []
    position = 0
    for match in _MARK.finditer(text):
        parts.extend([text[position : match.start()]] if match.start() > position else [])
        parts.append(_placeholder(match.group(0), match.group(1)))
        position = match.end()
    parts.extend([text[position:]] if position < len(text) else [])
    return Text(tuple(parts))


def _placeholder(text: str, inner: str) -> Placeholder:
    for kind, form in _FORMS:
        match = form.fullmatch(inner)
        if match:
            found = match.groupdict()
            escape = int(found.get("escape") or 0)
            return Placeholder(text, kind, found.get("name") or "", found.get("key") or "", escape)
    raise PlaceholderError(f"unknown placeholder {text}")


def parse_argument(text: str) -> Argument:
    """Read one element of `command` or `args`, which may be a Concat or IfPresent structure as JSON.

    Raises:
        PlaceholderError: the structure or a placeholder in it is malformed.
    """
    if not text.startswith(('{"Concat": ', '{"IfPresent": ')):
        return parse_text(text)
    try:
        return _structure(json.loads(text))
    except json.JSONDecodeError:
        raise PlaceholderError(f"malformed structure {text}") from None


def _structure(value: Any) -> Argument:
    if isinstance(value, str):
        return parse_text(value)
    if isinstance(value, dict) and list(value) == ["Concat"] and isinstance(value["Concat"], list):
        return Concat(tuple(_structure(item) for item in value["Concat"]))
    if isinstance(value, dict) and list(value) == ["IfPresent"]:
        body = value["IfPresent"]
        if isinstance(body, dict) and "Then" in body and set(body) <= {"InputName", "Then", "Else"}:
            return IfPresent(str(body.get("InputName")), _branch(body["Then"]), _branch(body.get("Else")))
    raise PlaceholderError(f"unknown structure {json.dumps(value)}")


def _branch(value: Any) -> tuple[Argument, ...]:
    if value is None:
        return ()
    return tuple(_structure(item) for item in (value if isinstance(value, list) else [value]))


def placeholders_of(
    argument: Argument, guarded: frozenset[str] = frozenset()
) -> Iterator[tuple[Placeholder, bool]]:
    """Every placeholder in an argument, and whether an IfPresent guards the input it names."""
    if isinstance(argument, Text):
        yield from ((p, p.name in guarded) for p in argument.parts if isinstance(p, Placeholder))
    elif isinstance(argument, Concat):
        for item in argument.items:
            yield from placeholders_of(item, guarded)
    else:
        for item in argument.then:
            yield from placeholders_of(item, guarded | {argument.input_name})
        for item in argument.otherwise:
            yield from placeholders_of(item, guarded)


def guards_of(argument: Argument) -> Iterator[str]:
    """Names of the inputs that IfPresent structures in the argument ask for."""
    if isinstance(argument, Concat):
        for item in argument.items:
            yield from guards_of(item)
    elif isinstance(argument, IfPresent):
        yield argument.input_name
        for item in (*argument.then, *argument.otherwise):
            yield from guards_of(item)


def render(argument: Argument, context: Context) -> list[str]:
    """The command-line arguments that an element becomes: none, one, or several.

    Raises:
        PlaceholderError: a placeholder names an input without a value.
    """
    if isinstance(argument, Text):
        return [render_text(argument, context)]
    if isinstance(argument, Concat):
        return ["".join(part for item in argument.items for part in render(item, context))]
    inputs = context.executor_input["inputs"]
    present = inputs["parameterValues"].get(argument.input_name) is not None
    present = present or argument.input_name in inputs["artifacts"]
    chosen = argument.then if present else argument.otherwise
    return [part for item in chosen for part in render(item, context)]


def render_text(text: Text, context: Context) -> str:
    """Replace every placeholder of a text by its value."""
    return "".join(part if isinstance(part, str) else _value(part, context) for part in text.parts)


def _value(placeholder: Placeholder, context: Context) -> str:
    text = _plain_value(placeholder, context)
    for _ in range(placeholder.escape):
        text = json.dumps(text)[1:-1]
    return text


def _plain_value(placeholder: Placeholder, context: Context) -> str:
    kind, name = placeholder.kind, placeholder.name
    inputs, outputs = context.executor_input["inputs"], context.executor_input["outputs"]
    if kind == "executor_input":
        return json.dumps(context.executor_input)
    if kind == "identity":
        return context.identity[name]
    if kind == "executor_output":
        return str(outputs["outputFile"])
    if kind == "input_parameter":
        return to_text(_given(inputs["parameterValues"], placeholder))
    if kind == "output_file":
        return str(_given(outputs["parameters"], placeholder)["outputFile"])
    source = inputs if kind.startswith("input") else outputs
    return _artifact_value(placeholder, _given(source["artifacts"], placeholder)["artifacts"], context)


def _given(values: Mapping[str, Any], placeholder: Placeholder) -> Any:
    if values.get(placeholder.name) is None:
        raise PlaceholderError(
            f"{placeholder.text} has no value: give the input, give it a default, or use IfPresentPlaceholder"
        )
    return values[placeholder.name]


def _artifact_value(placeholder: Placeholder, artifacts: list[dict[str, Any]], context: Context) -> str:
    if placeholder.kind == "input_artifacts":
        return json.dumps(artifacts)
    if not artifacts:
        raise PlaceholderError(f"{placeholder.text}: the list of artifacts is empty")
    artifact = artifacts[0]
    if placeholder.kind.endswith("_uri"):
        return str(artifact["uri"])
    if placeholder.kind.endswith("_path"):
        return _local_path(placeholder, artifact["uri"], context)
    metadata = artifact.get("metadata", {})
    if not placeholder.key:
        return json.dumps(metadata)
    if placeholder.key not in metadata:
        raise PlaceholderError(f"{placeholder.text}: the artifact has no metadata {placeholder.key!r}")
    return to_text(metadata[placeholder.key])


def _local_path(placeholder: Placeholder, uri: str, context: Context) -> str:
    if uri not in context.paths:
        raise PlaceholderError(
            f"{placeholder.text}: {uri} is not on this machine and is not downloaded; pass its .uri instead"
        )
    return context.paths[uri]
