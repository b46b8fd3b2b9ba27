"""One Python function a model: a parsed JSON row -> its float values, in the booster's order."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.serving.column_types import parse_date, parse_timestamp
from lakeloop.serving.compiled.sql_to_python import Compiler
from lakeloop.serving.compiled.sql_tree import NotCompilable, parse
from lakeloop.serving.compiled.statements import LARGEST_DOUBLE, NAMES, Kind, Undecided, Value

if TYPE_CHECKING:
    import numpy as np

Row = Mapping[str, Any]
_UNDECIDED = (Undecided, ArithmeticError, TypeError, ValueError, KeyError)

_KINDS: dict[str, Kind] = {
    "string": "text",
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "double": "double",
    "decimal": "double",
    "date": "date",
    "timestamp": "timestamp",
}
_RIGHT = {
    "string": "type({0}) is not str",
    "boolean": "type({0}) is not bool",
    "int": "(type({0}) is not int or not -2147483648 <= {0} <= 2147483647)",
    "long": "(type({0}) is not int or not -9223372036854775808 <= {0} <= 9223372036854775807)",
    "double": "type({0}) is not float",
    "decimal": "type({0}) is not float",
    "date": "type({0}) is not str",
    "timestamp": "type({0}) is not str",
}
_READ = {"date": "parse_date", "timestamp": "parse_timestamp"}
"""By type, what a value is not if it is plainly right."""


class RowFunction:
    """Rows as JSON gives them -> matrix; None where a row needs the long way (a fault, a value at an edge)."""

    def __init__(self, encoding: FeatureEncoding) -> None:
        """Compile a model's encoding.

        Raises:
            NotCompilable: a column's type or an expression is not in the compiled language.
        """
        self.source, names = _source(encoding)
        namespace = {**NAMES, **names}
        exec(compile(self.source, "<model's features>", "exec"), namespace)  # noqa: S102 - made of parsed parts
        self._values: Callable[[Row], Sequence[float]] = namespace["values"]
        self._listed: Callable[[Sequence[Any]], Sequence[float]] = namespace["listed"]
        self._width = len(encoding.features)

    def matrix(self, rows: Sequence[Any], *, listed: bool = False) -> np.ndarray[Any, Any] | None:
        """Float32 matrix [rows, features], NaN for missing; None: the long way decides.

        Args:
            rows: objects by column.
            listed: each may be a list of values in the columns' order, too, which takes less time.
        """
        import numpy as np

        flat = array("d")
        values = self._listed if listed and type(rows[0]) is list else self._values
        try:
            for row in rows:
                flat.extend(values(row))
        except _UNDECIDED:
            return None
        with np.errstate(over="ignore"):
            return np.frombuffer(flat).astype(np.float32).reshape(len(rows), self._width)


def _source(encoding: FeatureEncoding) -> tuple[str, dict[str, Any]]:
    columns = {name: f"c{i}" for i, name in enumerate(encoding.source_columns)}
    read = [_read_column(name, columns[name], type_) for name, type_ in encoding.source_columns.items()]
    if len({name.lower() for name in columns}) != len(columns):
        raise NotCompilable("columns whose names differ in case only")
    kinds = {n: _KINDS[_base(t)] for n, t in encoding.source_columns.items()}
    compiler = Compiler({n.lower(): Value(columns[n], kinds[n]) for n in columns})
    tables: dict[str, Any] = {
        "nan": float("nan"),
        "parse_date": parse_date,
        "parse_timestamp": parse_timestamp,
    }
    results = []
    for index, feature in enumerate(encoding.features):
        value = _feature(compiler, feature)
        results.append(_encoded(value, feature, index, tables))
    made = [*compiler.lines, f"return ({', '.join(results)},)"]
    named = [
        f"if len(row) != {len(columns)}:",
        "    raise Undecided",
        *(line for lines in read for line in lines),
    ]
    listed = ["if type(row) is not list:", "    raise Undecided", f"{', '.join(columns.values())}, = row"]
    listed += [line for lines in read for line in lines[1:]]
    return _function("values", [*named, *made]) + _function("listed", [*listed, *made]), tables


def _function(name: str, lines: Sequence[str]) -> str:
    body = "\n    ".join(lines)
    return f"def {name}(row):\n    {body}\n"


def _base(type_: str) -> str:
    return type_.split("(", maxsplit=1)[0].strip().lower()


def _read_column(name: str, variable: str, type_: str) -> list[str]:
    try:
        wrong = _RIGHT[_base(type_)].format(variable)
    except KeyError:
        raise NotCompilable(f"column {name!r} of type {type_}") from None
    lines = [f"{variable} = row[{name!r}]", f"if {wrong} and {variable} is not None:"]
    if _base(type_) in _READ:
        read = f"{variable} = {_READ[_base(type_)]}({variable})"
        return [*lines, "    raise Undecided", f"if {variable} is not None:", f"    {read}"]
    if _KINDS[_base(type_)] != "double":
        return [*lines, "    raise Undecided"]
    return [
        *lines,
        f"    if type({variable}) is not int or not -{LARGEST_DOUBLE} < {variable} < {LARGEST_DOUBLE}:",
        "        raise Undecided",
        f"    {variable} = float({variable})",
    ]


def _feature(compiler: Compiler, feature: EncodedFeature) -> Value:
    if feature.column is not None:
        return compiler.column(feature.column)
    return compiler.compile(parse(feature.expression or ""))


def _encoded(value: Value, feature: EncodedFeature, index: int, tables: dict[str, Any]) -> str:
    if feature.type == "categorical":
        if value.kind != "text":
            raise NotCompilable(f"a category out of {value.kind}")
        tables[f"codes{index}"] = {text: float(code) for code, text in enumerate(feature.categories)}
        return f"codes{index}.get({value.code}, nan)"
    if value.kind in {"text", "date", "timestamp", "null"}:
        raise NotCompilable(f"a number out of {value.kind}")
    if not value.may_be_null:
        return value.code
    return f"(nan if {value.code} is None else {value.code})"
