"""Python statements that hold SQL values: each adds one variable, which is None where SQL has null."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lakeloop.serving.compiled.sql_tree import Node, NotCompilable

Kind = Literal["int", "decimal", "double", "bool", "text", "date", "timestamp", "null"]
LARGEST_INT = 2**31 - 1
LARGEST_DOUBLE = 1e300


class Undecided(Exception):  # noqa: N818 - the row is evaluated by DuckDB instead
    """The compiled form does not answer for this row."""


@dataclass(frozen=True)
class Value:
    """A Python variable or literal that holds a value or None."""

    code: str
    kind: Kind

    @property
    def may_be_null(self) -> bool:
        """False for a literal."""
        return self.kind == "null" or self.code[0].isalpha()


class Statements:
    """Collects statements; each adds one variable."""

    def __init__(self, columns: Mapping[str, Value], handlers: Mapping[str, Handler]) -> None:
        """Over columns by lower-case name.

        Args:
            columns: what the row has.
            handlers: by a node's class, what compiles it.
        """
        self._columns, self._handlers = columns, handlers
        self.lines: list[str] = []
        self._count = 0

    def compile(self, node: Node) -> Value:
        """Statements for a node; where its value will be.

        Raises:
            NotCompilable: a part of it is not in this language.
        """
        handler = self._handlers.get(str(node.get("class")))
        if handler is None:
            raise NotCompilable(f"{node.get('class')} {node.get('type')}")
        return handler(self, node)

    def assign(self, code: str, kind: Kind, *nullable: Value, check: str = "") -> Value:
        """A new variable: None where one of `nullable` is, else `code`; `check` (of `{}`) or Undecided."""
        self._count += 1
        name = f"t{self._count}"
        tests = [f"{v.code} is None" for v in nullable if v.may_be_null]
        if tests:
            self.lines += [f"if {' or '.join(tests)}:", f"    {name} = None", "else:"]
        indent = "    " if tests else ""
        self.lines.append(f"{indent}{name} = {code}")
        if check:
            self.lines += [f"{indent}if not ({check.format(name)}):", f"{indent}    raise Undecided"]
        return Value(name, kind)

    def column(self, name: str) -> Value:
        """A raw column of the row."""
        try:
            return self._columns[name.lower()]
        except KeyError:
            raise NotCompilable(f"column {name}") from None

    def number(self, value: Value, kind: Kind) -> Value:
        """The value as `kind`, which is its own or a wider one."""
        if value.kind in {kind, "null"}:
            return value
        if kind != "double" or value.kind not in {"int", "decimal"}:
            raise NotCompilable(f"{value.kind} as {kind}")
        return self.assign(f"float({value.code})", "double", value)


Handler = Callable[[Statements, Node], Value]

NAMES: dict[str, Any] = {
    **{n: getattr(math, n) for n in ("log", "log10", "exp", "sqrt", "floor", "ceil", "fmod", "pow")},
    "Undecided": Undecided,
}
"""What compiled statements may call."""
