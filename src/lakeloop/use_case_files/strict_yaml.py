"""YAML, read strictly: no duplicate keys, no tags, YAML 1.2's numbers and booleans, and the line of every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lakeloop.domain.errors import UserError


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's floats (1e-3 is a number) and booleans (yes and no are texts), without its dates."""


_READ_OTHERWISE = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool"}
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _READ_OTHERWISE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> tuple[Any, yaml.Node]:
    """A file's value, and its node tree for line numbers.

    Raises:
        UserError: unreadable, not YAML, empty, or a key is given twice.
    """
    try:
        loader = _StrictLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise UserError("the file is empty", where=str(path), fix="see conf/use_cases for examples")
        _refuse_duplicates(path, node)
        return loader.construct_document(node), node
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot be read: {error}", where=str(path), fix="give a readable UTF-8 file"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise UserError(
            f"not valid YAML: {error.problem}",
            where=_place(path, error.problem_mark),
            fix="correct this line",
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"not valid YAML: {error}", where=str(path), fix="correct the file") from error


def _place(path: Path, mark: yaml.Mark | None) -> str:
    return f"{path}:{mark.line + 1}" if mark else str(path)


def _refuse_duplicates(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in lines:
                raise UserError(
                    f"key {name!r} is given twice, first in line {lines[name]}",
                    where=_place(path, key.start_mark),
                    fix="keep one",
                )
            lines[name] = key.start_mark.line + 1
            _refuse_duplicates(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(path, item)


def line_of(root: yaml.Node, path: tuple[str | int, ...]) -> int:
    """Line (from 1) of the deepest node along the path; steps that the file does not have are passed over."""
    node, line = root, root.start_mark.line + 1
    for step in path:
        found = _child(node, step)
        if found is not None:
            node, line = found
    return line


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    return None


def line_of_value(root: yaml.Node, path: tuple[str | int, ...], value: str) -> int:
    """Line of the first key or scalar that reads `value` below the path, else the path's own line."""
    node: yaml.Node = root
    for step in path:
        found = _child(node, step)
        if found is not None:
            node = found[0]
    return _first_scalar(node, value) or line_of(root, path)


def _first_scalar(node: yaml.Node, value: str) -> int | None:
    if isinstance(node, yaml.ScalarNode):
        return node.start_mark.line + 1 if node.value == value else None
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    else:
        children = list(node.value)
    return next((line for child in children if (line := _first_scalar(child, value))), None)
