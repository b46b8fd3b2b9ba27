"""A feature's expression must mean one value of one row, the same whenever and wherever it is computed."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from lakeloop.domain.errors import UserError
from lakeloop.serving.compiled.sql_tree import NotCompilable, parse

_FIX_OF_TIME = "count from the row's own event time: age or years_since, or a column"
_FRACTIONS = ("float", "double", "decimal")
_MAKES_FRACTIONS = {"/", "ln", "log", "log2", "log10", "exp", "sqrt", "pow", "power"}
_KEEPS_FRACTIONS = {"+", "-", "*", "%", "abs", "least", "greatest"}
_TIME_WORDS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


def check_meaning(name: str, expression: str, columns: Mapping[str, str]) -> None:
    """Refuse what a model must not be trained on; what is no SQL at all is left to whoever evaluates it.

    Args:
        name: of the feature.
        expression: scalar SQL.
        columns: of the table -> their types; empty where they are not declared.

    Raises:
        UserError: it stands for several columns, names one that is not there, or depends on when, or by which engine,
            it is computed: the training would see another value than the endpoint, and a replay another than both.
    """
    try:
        tree = parse(expression)
    except NotCompilable:
        return
    for node in _nodes(tree):
        if node.get("class") == "STAR":
            raise _wrong(name, "* stands for several columns", "name the columns")
        if node.get("class") == "COLUMN_REF":
            _check_column(name, node["column_names"], columns)
        if node.get("class") == "FUNCTION":
            _check_function(name, str(node["function_name"]).lower(), len(node.get("arguments", [])))
        if node.get("class") == "CAST":
            _check_cast(name, node, {c.lower(): kind for c, kind in columns.items()})


def _check_column(feature: str, names: Sequence[str], columns: Collection[str]) -> None:
    written, known = ".".join(names), {c.lower(): c for c in columns}
    if written.lower() in known or (not columns and written.lower() not in _TIME_WORDS):
        return
    if written.lower() in _TIME_WORDS | _unstable_functions():
        raise _wrong(feature, f"{written} depends on when it is computed", _FIX_OF_TIME)
    near = difflib.get_close_matches(written.lower(), known, n=1)
    raise _wrong(
        feature,
        f"there is no column {written!r}",
        f"did you mean {known[near[0]]}?" if near else f"one of: {', '.join(columns)}",
    )


def _check_function(feature: str, function: str, arguments: int) -> None:
    # age(x) is the time from x until today.
    if function in _unstable_functions() or (function, arguments) == ("age", 1):
        raise _wrong(feature, f"{function}() depends on when it is computed", _FIX_OF_TIME)


def _check_cast(feature: str, node: Mapping[str, Any], types: Mapping[str, str]) -> None:
    """Spark cuts off what stands behind the point, DuckDB rounds: 2.7 would be 2 in training and 3 at the endpoint."""
    target = str(node["type_expr"]["type_name"])
    if target.endswith(("INT", "INTEGER")) and _has_fraction(node["child"], types):
        raise _wrong(
            feature,
            f"a number with a point becomes {target}, which one engine rounds and another cuts off",
            f"say which: CAST(floor(x) AS {target}), or CAST(round(x) AS {target})",
        )


def _has_fraction(node: Mapping[str, Any], types: Mapping[str, str]) -> bool:
    """Whether the value surely is no whole number's type."""
    if node.get("class") == "COLUMN_REF":
        return types.get(".".join(node["column_names"]).lower(), "").startswith(_FRACTIONS)
    if node.get("class") == "CONSTANT":
        return bool(node.get("literal", {}).get("kind") == "NUMERIC")
    if node.get("class") == "CAST":
        return str(node["type_expr"]["type_name"]).lower().startswith(_FRACTIONS)
    name = str(node.get("function_name")).lower()
    arguments = [argument["expression"] for argument in node.get("arguments", [])]
    keeps = name in _KEEPS_FRACTIONS and any(_has_fraction(a, types) for a in arguments)
    return keeps or name in _MAKES_FRACTIONS


@cache
def _unstable_functions() -> frozenset[str]:
    """DuckDB's own list of functions whose value is not decided by their arguments."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        found = connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'scalar' AND stability <> 'CONSISTENT'"
        ).fetchall()
    return frozenset({str(row[0]) for row in found} - {"error"} | {"ago"})


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every part of a syntax tree that has a class."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for part in tree.values():
            yield from _nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)


def _wrong(feature: str, problem: str, fix: str) -> UserError:
    return UserError(problem, where=f"feature {feature}", fix=fix)
