"""Scalar SQL -> Python statements that give DuckDB's value, for single rows in a microsecond.

A deliberately small language: numbers, text, booleans, dates; arithmetic, comparisons, CASE, COALESCE, a few
functions, days. Whatever is not surely the same in both (decimal arithmetic, times, rounding) is not compiled, and a
value at the edge of the defined (overflow, the root of a negative number) raises `Undecided`: DuckDB decides both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lakeloop.serving.compiled import conditions
from lakeloop.serving.compiled.scalar_functions import of_values
from lakeloop.serving.compiled.sql_tree import Node, NotCompilable
from lakeloop.serving.compiled.statements import LARGEST_INT, Handler, Statements, Value

_DECIMAL_DIGITS = 15
"""Decimals with more digits are not exact as doubles."""


class Compiler(Statements):
    """Of the nodes of DuckDB's syntax tree."""

    def __init__(self, columns: Mapping[str, Value]) -> None:
        """Over columns by lower-case name."""
        super().__init__(columns, _HANDLERS)


def _column(compiler: Statements, node: Node) -> Value:
    names = node["column_names"]
    if len(names) != 1:
        raise NotCompilable(".".join(names))
    return compiler.column(names[0])


def _constant(_: Statements, node: Node) -> Value:
    literal = node.get("literal") or {}
    kind, text = literal.get("kind"), str(literal.get("text", ""))
    if kind == "STRING":
        return Value(repr(text), "text")
    if kind == "BOOLEAN":
        return Value("(True)" if text == "true" else "(False)", "bool")
    if kind == "INTEGER" and abs(int(text)) <= LARGEST_INT:
        return Value(f"({int(text)})", "int")
    if kind in {"NULL", "NULL_LITERAL"}:
        return Value("(None)", "null")
    return _fraction(text)


def _fraction(text: str) -> Value:
    digits = text.replace(".", "").lstrip("-")
    if digits.isdecimal() and len(digits) <= _DECIMAL_DIGITS:
        return Value(f"({float(text)!r})", "decimal")
    try:
        number = float(text)
    except ValueError:
        raise NotCompilable(f"the constant {text[:40]!r}") from None
    if "e" not in text.lower() or not math.isfinite(number):
        raise NotCompilable(f"the constant {text[:40]}")
    return Value(f"({number!r})", "double")


def _function(compiler: Statements, node: Node) -> Value:
    name = str(node["function_name"]).lower()
    values = [compiler.compile(a["expression"]) for a in node.get("arguments", [])]
    if node.get("distinct") or node.get("filter"):
        raise NotCompilable(f"{name}() of {len(values)}")
    return of_values(compiler, name, values)


def _cast(compiler: Statements, node: Node) -> Value:
    type_name = str(node.get("type_expr", {}).get("type_name", "")).lower()
    value = compiler.compile(node["child"])
    if node.get("try_cast"):
        raise NotCompilable("a try_cast")
    if type_name == "date" and value.kind in {"date", "timestamp"}:
        return value if value.kind == "date" else compiler.assign(f"{value.code}.date()", "date", value)
    if type_name != "double":
        raise NotCompilable(f"a cast to {type_name}")
    return compiler.number(value, "double")


_HANDLERS: Mapping[str, Handler] = {
    "COLUMN_REF": _column,
    "CONSTANT": _constant,
    "FUNCTION": _function,
    "COMPARISON": conditions.comparison,
    "BETWEEN": conditions.between,
    "CONJUNCTION": conditions.conjunction,
    "OPERATOR": conditions.operator,
    "CASE": conditions.case,
    "CAST": _cast,
}
