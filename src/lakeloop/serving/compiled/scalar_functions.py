"""SQL's scalar functions and operators as Python, each for the kinds of values that give DuckDB's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lakeloop.serving.compiled.sql_tree import NotCompilable
from lakeloop.serving.compiled.statements import LARGEST_DOUBLE, LARGEST_INT, Kind, Statements, Value

Function = Callable[[Statements, Sequence[Value]], Value]


def of_values(compiler: Statements, name: str, values: Sequence[Value]) -> Value:
    """A function's value.

    Args:
        compiler: gets its statements.
        name: in lower case.
        values: the arguments.

    Raises:
        NotCompilable: no such function, or not of these kinds.
    """
    if (name, len(values)) in _FUNCTIONS:
        return _FUNCTIONS[name, len(values)](compiler, values)
    if name in {"greatest", "least"} and len(values) > 1:
        return _extreme(compiler, "max" if name == "greatest" else "min", values)
    raise NotCompilable(f"{name}() of {len(values)}")


def _arithmetic(operator: str) -> Function:
    def apply(compiler: Statements, values: Sequence[Value]) -> Value:
        left, right = values
        kinds = {left.kind, right.kind}
        if kinds == {"int"}:
            check = f"-{LARGEST_INT} <= {{}} <= {LARGEST_INT}"
            return compiler.assign(f"{left.code} {operator} {right.code}", "int", *values, check=check)
        left, right = _doubles(compiler, values)
        check = f"-{LARGEST_DOUBLE} < {{}} < {LARGEST_DOUBLE}"
        return compiler.assign(f"{left.code} {operator} {right.code}", "double", left, right, check=check)

    return apply


def _doubles(compiler: Statements, values: Sequence[Value]) -> list[Value]:
    if "double" not in {v.kind for v in values}:
        raise NotCompilable("arithmetic of decimals")
    return [compiler.number(v, "double") for v in values]


def _divide(compiler: Statements, values: Sequence[Value]) -> Value:
    if {v.kind for v in values} != {"int"}:
        values = _doubles(compiler, values)
    left, right = (compiler.number(v, "double") for v in values)
    check = f"{{}} is None or -{LARGEST_DOUBLE} < {{}} < {LARGEST_DOUBLE}"
    code = f"None if {right.code} == 0 else {left.code} / {right.code}"
    return compiler.assign(code, "double", left, right, check=check.replace("{}", "{0}"))


def _remainder(compiler: Statements, values: Sequence[Value]) -> Value:
    left, right = values
    if {left.kind, right.kind} == {"int"}:
        code = f"None if {right.code} == 0 else int(fmod({left.code}, {right.code}))"
        return compiler.assign(code, "int", left, right)
    left, right = _doubles(compiler, values)
    return compiler.assign(
        f"None if {right.code} == 0 else fmod({left.code}, {right.code})", "double", left, right
    )


def _negative(compiler: Statements, values: Sequence[Value]) -> Value:
    (value,) = values
    if value.kind not in {"int", "decimal", "double"}:
        raise NotCompilable(f"minus {value.kind}")
    if not value.may_be_null:
        return Value(f"(-{value.code})", value.kind)
    return compiler.assign(f"-{value.code}", value.kind, value)


def _absolute(compiler: Statements, values: Sequence[Value]) -> Value:
    (value,) = values
    if value.kind not in {"int", "double"}:
        raise NotCompilable(f"abs() of {value.kind}")
    return compiler.assign(f"abs({value.code})", value.kind, value)


def _of_double(code: str) -> Function:
    def apply(compiler: Statements, values: Sequence[Value]) -> Value:
        x = compiler.number(values[0], "double")
        check = f"{{0}} is None or -{LARGEST_DOUBLE} < {{0}} < {LARGEST_DOUBLE}"
        return compiler.assign(code.replace("?", x.code), "double", x, check=check)

    return apply


def _rounded(code: str) -> Function:
    def apply(compiler: Statements, values: Sequence[Value]) -> Value:
        if values[0].kind != "double":
            raise NotCompilable(f"{code}() of {values[0].kind}")
        return compiler.assign(f"float({code}({values[0].code}))", "double", values[0])

    return apply


def _power(compiler: Statements, values: Sequence[Value]) -> Value:
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


def as_one_kind(compiler: Statements, values: Sequence[Value]) -> tuple[list[Value], Kind]:
    """Values as the widest kind of them, and that one."""
    kind = _widest({v.kind for v in values})
    return [compiler.number(v, kind) if kind == "double" else v for v in values], kind


def _extreme(compiler: Statements, function: str, values: Sequence[Value]) -> Value:
    alike, kind = as_one_kind(compiler, values)
    if kind not in {"int", "double"}:
        raise NotCompilable(f"{function} of {kind}")
    listed = ", ".join(v.code for v in alike)
    return compiler.assign(f"{function}([x for x in ({listed}) if x is not None], default=None)", kind)


def _part_of_date(part: str) -> Function:
    def apply(compiler: Statements, values: Sequence[Value]) -> Value:
        if values[0].kind not in {"date", "timestamp"}:
            raise NotCompilable(f"{part}() of {values[0].kind}")
        return compiler.assign(f"{values[0].code}.{part}", "int", values[0])

    return apply


def _days(compiler: Statements, values: Sequence[Value]) -> Value:
    unit, start, end = values
    if (unit.code, start.kind, end.kind) != ("'day'", "date", "date"):
        raise NotCompilable("date_diff() of anything but days between dates")
    return compiler.assign(f"({end.code} - {start.code}).days", "int", start, end)


_FUNCTIONS: Mapping[tuple[str, int], Function] = {
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
