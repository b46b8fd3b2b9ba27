"""SQL's conditions as Python: three-valued, None where SQL has null."""

from __future__ import annotations

from collections.abc import Sequence

from lakeloop.serving.compiled.scalar_functions import as_one_kind
from lakeloop.serving.compiled.sql_tree import Node, NotCompilable
from lakeloop.serving.compiled.statements import Statements, Value


def comparison(compiler: Statements, node: Node) -> Value:
    """`=`, `<>`, `<` and so on."""
    operator = _COMPARISONS.get(str(node["type"]))
    if operator is None:
        raise NotCompilable(str(node["type"]))
    return _compare(compiler, operator, compiler.compile(node["left"]), compiler.compile(node["right"]))


def _compare(compiler: Statements, operator: str, left: Value, right: Value) -> Value:
    kinds = {left.kind, right.kind}
    if "double" in kinds:
        left, right = (compiler.number(v, "double") for v in (left, right))
    elif kinds == {"text"}:
        if operator not in {"==", "!="}:
            raise NotCompilable("an order of texts")
    elif not kinds <= {"int", "decimal"}:
        raise NotCompilable(f"a comparison of {sorted(kinds)}")
    return compiler.assign(f"{left.code} {operator} {right.code}", "bool", left, right)


def between(compiler: Statements, node: Node) -> Value:
    """`BETWEEN`, both ends included."""
    value, lower, upper = (compiler.compile(node[k]) for k in ("input", "lower", "upper"))
    if node["type"] != "COMPARE_BETWEEN":
        raise NotCompilable(str(node["type"]))
    return _and(compiler, [_compare(compiler, ">=", value, lower), _compare(compiler, "<=", value, upper)])


def conjunction(compiler: Statements, node: Node) -> Value:
    """`AND`, `OR`, of any count."""
    values = [compiler.compile(child) for child in node["children"]]
    return _and(compiler, values) if node["type"] == "CONJUNCTION_AND" else _or(compiler, values)


def _booleans(values: Sequence[Value]) -> str:
    if {v.kind for v in values} - {"bool"}:
        raise NotCompilable("AND, OR of what is no condition")
    return ", ".join(v.code for v in values)


def _and(compiler: Statements, values: Sequence[Value]) -> Value:
    listed = _booleans(values)
    return compiler.assign(
        f"False if False in ({listed},) else None if None in ({listed},) else True", "bool"
    )


def _or(compiler: Statements, values: Sequence[Value]) -> Value:
    listed = _booleans(values)
    return compiler.assign(f"True if True in ({listed},) else None if None in ({listed},) else False", "bool")


def operator(compiler: Statements, node: Node) -> Value:
    """`IS NULL`, `NOT`, `COALESCE`, `IN`."""
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


def _coalesce(compiler: Statements, values: Sequence[Value]) -> Value:
    alike, kind = as_one_kind(compiler, values)
    code = alike[-1].code
    for value in reversed(alike[:-1]):
        code = f"{value.code} if {value.code} is not None else {code}" if value.may_be_null else value.code
    return compiler.assign(code, kind)


def case(compiler: Statements, node: Node) -> Value:
    """`CASE`."""
    conditions = [compiler.compile(check["when_expr"]) for check in node["case_checks"]]
    _booleans(conditions)
    results = [compiler.compile(check["then_expr"]) for check in node["case_checks"]]
    otherwise = compiler.compile(node["else_expr"]) if node.get("else_expr") else Value("(None)", "null")
    alike, kind = as_one_kind(compiler, [*results, otherwise])
    code = alike[-1].code
    for condition, result in reversed(list(zip(conditions, alike[:-1], strict=True))):
        code = f"{result.code} if {condition.code} else {code}"
    return compiler.assign(code, kind)


_COMPARISONS = {
    "COMPARE_EQUAL": "==",
    "COMPARE_NOTEQUAL": "!=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
