"""Scalar SQL -> Python statements that give DuckDB's value, for single rows in a microsecond.

A deliberately small language: numbers, text, booleans, dates; arithmetic, comparisons, CASE, COALESCE, a few
functions, days. Whatever is not surely the same in both (decimal arithmetic, times, rounding) is not compiled, and a
value at the edge of the defined (overflow, the root of a negative number) raises `Undecided`: DuckDB decides both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lakeloop.serving.compiled.sql_tree import Node, NotCompilable

Kind = Literal["int", "decimal", "double", "bool", "text", "date", "timestamp", "null"]
LARGEST_INT = 2**31 - 1
LARGEST_DOUBLE = 1e300
_DECIMAL_DIGITS = 15
"""Decimals with more digits are not exact as doubles."""


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


class Compiler:
    """Collects statements; each adds one variable."""

    def __init__(self, columns: Mapping[str, Value]) -> None:
        """Over columns by lower-case name."""
        self._columns = columns
        self.lines: list[str] = []
        self._count = 0

    def compile(self, node: Node) -> Value:
        """Statements for a node; where its value will be.

        Raises:
            NotCompilable: a part of it is not in this language.
        """
        handler = _HANDLERS.get(str(node.get("class")))
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


def _column(compiler: Compiler, node: Node) -> Value:
    names = node["column_names"]
    if len(names) != 1:
        raise NotCompilable(".".join(names))
    return compiler.column(names[0])


def _constant(_: Compiler, node: Node) -> Value:
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


def _arguments(compiler: Compiler, node: Node) -> list[Value]:
    return [compiler.compile(a["expression"]) for a in node.get("arguments", [])]


def _function(compiler: Compiler, node: Node) -> Value:
    name = str(node["function_name"]).lower()
    values = _arguments(compiler, node)
    if node.get("distinct") or node.get("filter") or (name, len(values)) not in _FUNCTIONS:
        if name in {"greatest", "least"} and len(values) > 1:
            return _extreme(compiler, "max" if name == "greatest" else "min", values)
        raise NotCompilable(f"{name}() of {len(values)}")
    return _FUNCTIONS[name, len(values)](compiler, values)


def _arithmetic(operator: str) -> Callable[[Compiler, Sequence[Value]], Value]:
    def apply(compiler: Compiler, values: Sequence[Value]) -> Value:
        left, right = values
        kinds = {left.kind, right.kind}
        if kinds == {"int"}:
            check = f"-{LARGEST_INT} <= {{}} <= {LARGEST_INT}"
            return compiler.assign(f"{left.code} {operator} {right.code}", "int", *values, check=check)
        left, right = _doubles(compiler, values)
        check = f"-{LARGEST_DOUBLE} < {{}} < {LARGEST_DOUBLE}"
        return compiler.assign(f"{left.code} {operator} {right.code}", "double", left, right, check=check)

    return apply


def _doubles(compiler: Compiler, values: Sequence[Value]) -> list[Value]:
    if "double" not in {v.kind for v in values}:
        raise NotCompilable("arithmetic of decimals")
    return [compiler.number(v, "double") for v in values]


def _divide(compiler: Compiler, values: Sequence[Value]) -> Value:
    if {v.kind for v in values} != {"int"}:
        values = _doubles(compiler, values)
    left, right = (compiler.number(v, "double") for v in values)
    check = f"{{}} is None or -{LARGEST_DOUBLE} < {{}} < {LARGEST_DOUBLE}"
    code = f"None if {right.code} == 0 else {left.code} / {right.code}"
    return compiler.assign(code, "double", left, right, check=check.replace("{}", "{0}"))


def _remainder(compiler: Compiler, values: Sequence[Value]) -> Value:
    left, right = values
    if {left.kind, right.kind} == {"int"}:
        code = f"None if {right.code} == 0 else int(fmod({left.code}, {right.code}))"
        return compiler.assign(code, "int", left, right)
    left, right = _doubles(compiler, values)
    return compiler.assign(
        f"None if {right.code} == 0 else fmod({left.code}, {right.code})", "double", left, right
    )


def _negative(compiler: Compiler, values: Sequence[Value]) -> Value:
    (value,) = values
    if value.kind not in {"int", "decimal", "double"}:
        raise NotCompilable(f"minus {value.kind}")
    if not value.may_be_null:
        return Value(f"(-{value.code})", value.kind)
    return compiler.assign(f"-{value.code}", value.kind, value)


def _absolute(compiler: Compiler, values: Sequence[Value]) -> Value:
    (value,) = values
    if value.kind not in {"int", "double"}:
        raise NotCompilable(f"abs() of {value.kind}")
    return compiler.assign(f"abs({value.code})", value.kind, value)


def _of_double(code: str) -> Callable[[Compiler, Sequence[Value]], Value]:
    def apply(compiler: Compiler, values: Sequence[Value]) -> Value:
        x = compiler.number(values[0], "double")
        check = f"{{0}} is None or -{LARGEST_DOUBLE} < {{0}} < {LARGEST_DOUBLE}"
        return compiler.assign(code.replace("?", x.code), "double", x, check=check)

    return apply


def _rounded(code: str) -> Callable[[Compiler, Sequence[Value]], Value]:
    def apply(compiler: Compiler, values: Sequence[Value]) -> Value:
        if values[0].kind != "double":
            raise NotCompilable(f"{code}() of {values[0].kind}")
        return compiler.assign(f"float({code}({values[0].code}))", "double", values[0])

    return apply


def _power(compiler: Compiler, values: Sequence[Value]) -> Value:
    left, right = (compiler.number(v, "double") for v in values)
    check = f"-{LARGEST_DOUBLE} < {{}} < {LARGEST_DOUBLE}"
    return compiler.assign(f"pow({left.code}, {right.code})", "double", left, right, check=check)


def _widest(kinds: set[Kind]) -> Kind:
    known = kinds - {"null"}
    if len(known) == 1:
        return known.pop()
    for kind in ("double", "decimal"):
        if kind in known and known <= {"int", "decimal", "double"}:
            return kind
    raise NotCompilable(f"one value out of {sorted(known)}")


def _alike(compiler: Compiler, values: Sequence[Value]) -> tuple[list[Value], Kind]:
    kind = _widest({v.kind for v in values})
    return [compiler.number(v, kind) if kind == "double" else v for v in values], kind


def _extreme(compiler: Compiler, function: str, values: Sequence[Value]) -> Value:
    alike, kind = _alike(compiler, values)
    if kind not in {"int", "double"}:
        raise NotCompilable(f"{function} of {kind}")
    listed = ", ".join(v.code for v in alike)
    return compiler.assign(f"{function}([x for x in ({listed}) if x is not None], default=None)", kind)


def _comparison(compiler: Compiler, node: Node) -> Value:
    operator = _COMPARISONS.get(str(node["type"]))
    if operator is None:
        raise NotCompilable(str(node["type"]))
    return _compare(compiler, operator, compiler.compile(node["left"]), compiler.compile(node["right"]))


def _compare(compiler: Compiler, operator: str, left: Value, right: Value) -> Value:
    kinds = {left.kind, right.kind}
    if "double" in kinds:
        left, right = (compiler.number(v, "double") for v in (left, right))
    elif kinds == {"text"}:
        if operator not in {"==", "!="}:
            raise NotCompilable("an order of texts")
    elif not kinds <= {"int", "decimal"}:
        raise NotCompilable(f"a comparison of {sorted(kinds)}")
    return compiler.assign(f"{left.code} {operator} {right.code}", "bool", left, right)


def _between(compiler: Compiler, node: Node) -> Value:
    value, lower, upper = (compiler.compile(node[k]) for k in ("input", "lower", "upper"))
    if node["type"] != "COMPARE_BETWEEN":
        raise NotCompilable(str(node["type"]))
    return _and(compiler, [_compare(compiler, ">=", value, lower), _compare(compiler, "<=", value, upper)])


def _conjunction(compiler: Compiler, node: Node) -> Value:
    values = [compiler.compile(child) for child in node["children"]]
    return _and(compiler, values) if node["type"] == "CONJUNCTION_AND" else _or(compiler, values)


def _booleans(values: Sequence[Value]) -> str:
    if {v.kind for v in values} - {"bool"}:
        raise NotCompilable("AND, OR of what is no condition")
    return ", ".join(v.code for v in values)


def _and(compiler: Compiler, values: Sequence[Value]) -> Value:
    listed = _booleans(values)
    return compiler.assign(
        f"False if False in ({listed},) else None if None in ({listed},) else True", "bool"
    )


def _or(compiler: Compiler, values: Sequence[Value]) -> Value:
    listed = _booleans(values)
    return compiler.assign(f"True if True in ({listed},) else None if None in ({listed},) else False", "bool")


def _operator(compiler: Compiler, node: Node) -> Value:
    type_, children = str(node["type"]), [compiler.compile(c) for c in node.get("children", [])]
    if type_ in {"OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"}:
        negated = "is not" if type_.endswith("NOT_NULL") else "is"
        if not children[0].may_be_null:
            return Value(f"({negated == 'is not'})", "bool")
        return compiler.assign(f"{children[0].code} {negated} None", "bool")
    if type_ == "OPERATOR_NOT":
        _booleans(children)
        return compiler.assign(f"not {children[0].code}", "bool", children[0])
    if type_ == "OPERATOR_COALESCE":
        return _coalesce(compiler, children)
    if type_ in {"COMPARE_IN", "COMPARE_NOT_IN"}:
        found = _or(compiler, [_compare(compiler, "==", children[0], c) for c in children[1:]])
        return found if type_ == "COMPARE_IN" else compiler.assign(f"not {found.code}", "bool", found)
    raise NotCompilable(type_)


def _coalesce(compiler: Compiler, values: Sequence[Value]) -> Value:
    alike, kind = _alike(compiler, values)
    code = alike[-1].code
    for value in reversed(alike[:-1]):
        code = f"{value.code} if {value.code} is not None else {code}" if value.may_be_null else value.code
    return compiler.assign(code, kind)


def _case(compiler: Compiler, node: Node) -> Value:
    conditions = [compiler.compile(check["when_expr"]) for check in node["case_checks"]]
    _booleans(conditions)
    results = [compiler.compile(check["then_expr"]) for check in node["case_checks"]]
    otherwise = compiler.compile(node["else_expr"]) if node.get("else_expr") else Value("(None)", "null")
    alike, kind = _alike(compiler, [*results, otherwise])
    code = alike[-1].code
    for condition, result in reversed(list(zip(conditions, alike[:-1], strict=True))):
        code = f"{result.code} if {condition.code} else {code}"
    return compiler.assign(code, kind)


def _cast(compiler: Compiler, node: Node) -> Value:
    type_name = str(node.get("type_expr", {}).get("type_name", "")).lower()
    value = compiler.compile(node["child"])
    if node.get("try_cast"):
        raise NotCompilable("a try_cast")
    if type_name == "date" and value.kind in {"date", "timestamp"}:
        return value if value.kind == "date" else compiler.assign(f"{value.code}.date()", "date", value)
    if type_name != "double":
        raise NotCompilable(f"a cast to {type_name}")
    return compiler.number(value, "double")


def _part_of_date(part: str) -> Callable[[Compiler, Sequence[Value]], Value]:
    def apply(compiler: Compiler, values: Sequence[Value]) -> Value:
        if values[0].kind not in {"date", "timestamp"}:
            raise NotCompilable(f"{part}() of {values[0].kind}")
        return compiler.assign(f"{values[0].code}.{part}", "int", values[0])

    return apply


def _days(compiler: Compiler, values: Sequence[Value]) -> Value:
    unit, start, end = values
    if (unit.code, start.kind, end.kind) != ("'day'", "date", "date"):
        raise NotCompilable("date_diff() of anything but days between dates")
    return compiler.assign(f"({end.code} - {start.code}).days", "int", start, end)


_COMPARISONS = {
    "COMPARE_EQUAL": "==",
    "COMPARE_NOTEQUAL": "!=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_FUNCTIONS: dict[tuple[str, int], Callable[[Compiler, Sequence[Value]], Value]] = {
    ("+", 2): _arithmetic("+"),
    ("-", 2): _arithmetic("-"),
    ("*", 2): _arithmetic("*"),
    ("/", 2): _divide,
    ("%", 2): _remainder,
    ("-", 1): _negative,
    ("abs", 1): _absolute,
    ("ln", 1): _of_double("None if ? <= 0 else log(?)"),
    ("log", 1): _of_double("None if ? <= 0 else log(?)"),
    ("log10", 1): _of_double("None if ? <= 0 else log10(?)"),
    ("exp", 1): _of_double("exp(?)"),
    ("sqrt", 1): _of_double("sqrt(?)"),
    ("floor", 1): _rounded("floor"),
    ("ceil", 1): _rounded("ceil"),
    ("power", 2): _power,
    ("pow", 2): _power,
    ("date_diff", 3): _days,
    ("datediff", 3): _days,
    **{(part, 1): _part_of_date(part) for part in ("year", "month", "day")},
}
_HANDLERS: dict[str, Callable[[Compiler, Node], Value]] = {
    "COLUMN_REF": _column,
    "CONSTANT": _constant,
    "FUNCTION": _function,
    "COMPARISON": _comparison,
    "BETWEEN": _between,
    "CONJUNCTION": _conjunction,
    "OPERATOR": _operator,
    "CASE": _case,
    "CAST": _cast,
}

NAMES: dict[str, Any] = {
    **{n: getattr(math, n) for n in ("log", "log10", "exp", "sqrt", "floor", "ceil", "fmod", "pow")},
    "Undecided": Undecided,
}
"""What compiled statements may call."""
