"""A request's rows -> matrix, all rows at once: half the time of row by row, for numbers and their arithmetic.

Null is NaN here: in `+ - * /` both make missing what they touch, so the values are the row function's. Whatever could
differ (other types, a whole number that a double may not hold, a division by zero, an overflow) is left to that one.
"""

from __future__ import annotations

import ast
import operator
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.serving.column_types import base_type
from lakeloop.serving.compiled.sql_to_python import Compiler as RowCompiler
from lakeloop.serving.compiled.sql_tree import Node, NotCompilable, parse
from lakeloop.serving.compiled.statements import LARGEST_DOUBLE, LARGEST_INT, Undecided

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[np.float64]]
    OfNumbers = Callable[[Numbers], Any]

ROWS_BY_COLUMN = 32
"""For fewer rows the row function takes less time."""
_BOUNDS = {"int": LARGEST_INT, "long": 2**53, "double": LARGEST_DOUBLE, "decimal": LARGEST_DOUBLE}
_WHOLE_TYPES = {"int", "long"}
_WHOLE, _NUMBER = {int, type(None)}, {int, float, type(None)}
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


class ColumnFunction:
    """Rows as JSON gives them -> matrix; None where the row function has to look."""

    def __init__(self, encoding: FeatureEncoding) -> None:
        """Compile a model's encoding.

        Raises:
            NotCompilable: a column or a feature is no number, or more than arithmetic.
        """
        types = {name: base_type(type_) for name, type_ in encoding.source_columns.items()}
        if len({name.lower() for name in types}) < max(2, len(types)) or not _BOUNDS.keys() >= {
            *types.values()
        }:
            raise NotCompilable("one column only, two of one name, or one that is no number")
        self._width, self._of_object = len(types), itemgetter(*types)
        self._whole = [i for i, type_ in enumerate(types.values()) if type_ in _WHOLE_TYPES]
        self._bounds = [float(_BOUNDS[type_]) for type_ in types.values()]
        compiler = _Compiler(types)
        self._sources: list[int] = []
        self._made: dict[int, OfNumbers] = {}
        for index, feature in enumerate(encoding.features):
            source = compiler.feature(feature)
            self._sources.append(source if isinstance(source, int) else 0)
            if not isinstance(source, int):
                self._made[index] = source

    def matrix(self, rows: Sequence[Any], *, listed: bool = False) -> np.ndarray[Any, Any] | None:
        """Float32 matrix [rows, features], NaN for missing; None: the row function decides.

        Args:
            rows: objects by column.
            listed: each may be a list of values in the columns' order, too.
        """
        import numpy as np

        try:
            flat = list(chain.from_iterable(self._values(rows, listed=listed)))
            numbers = self._numbers(flat)
            with np.errstate(all="ignore"):
                _check(numbers, self._bounds)
                matrix = numbers.take(self._sources, axis=1).astype(np.float32)
                for index, made in self._made.items():
                    matrix[:, index] = made(numbers)
        except (Undecided, OverflowError, KeyError):
            return None
        return matrix

    def _values(self, rows: Sequence[Any], *, listed: bool) -> Iterable[Sequence[Any]]:
        kinds = set(map(type, rows))
        if kinds not in ([{dict}, {list}] if listed else [{dict}]) or set(map(len, rows)) != {self._width}:
            raise Undecided
        return rows if kinds == {list} else map(self._of_object, rows)

    def _numbers(self, flat: Sequence[Any]) -> Numbers:
        """Values [rows, columns]."""
        import numpy as np

        try:
            numbers = np.frombuffer(struct.pack(f"{len(flat)}d", *flat))  # in half the time of np.array
        except struct.error:
            if not _NUMBER.issuperset(map(type, flat)):
                raise Undecided from None
            numbers = np.array(flat, np.float64)
        numbers = numbers.reshape(-1, self._width)
        for index in self._whole:
            if not _WHOLE.issuperset(map(type, flat[index :: self._width])):
                raise Undecided
        # To `struct` a boolean is 0 or 1: only columns with one of those are looked through, value by value.
        for column in np.flatnonzero(((numbers == 0) | (numbers == 1)).any(axis=0)).tolist():
            if bool in map(type, flat[column :: self._width]):
                raise Undecided
        return numbers


def _check(numbers: Any, bound: Any) -> None:
    import numpy as np

    if np.count_nonzero(abs(numbers) >= bound):  # NaN is not
        raise Undecided


class _Compiler:
    """Of features over columns; a kind is double, int or decimal, as in the row function's compiler."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._columns = {name.lower(): (i, type_) for i, (name, type_) in enumerate(types.items())}

    def feature(self, feature: EncodedFeature) -> int | OfNumbers:
        """Which column it is, or how it is made of them."""
        if feature.type == "categorical":
            raise NotCompilable(f"the category {feature.name}")
        if feature.column is not None:
            return self._column(feature.column)[0]
        made, kind = self._compiled(parse(feature.expression or ""))
        if kind != "double":
            raise NotCompilable("an expression of whole numbers")
        return made

    def _column(self, name: str) -> tuple[int, str]:
        try:
            return self._columns[name.lower()]
        except KeyError:
            raise NotCompilable(f"column {name}") from None

    def _compiled(self, node: Node) -> tuple[OfNumbers, str]:
        if node.get("class") == "COLUMN_REF":
            index, type_ = self._column(".".join(node["column_names"]))
            return itemgetter((slice(None), index)), "int" if type_ in _WHOLE_TYPES else "double"
        if node.get("class") == "CONSTANT":
            return _constant(node)
        apply = _OPERATORS.get(str(node.get("function_name")))
        arguments = [self._compiled(argument["expression"]) for argument in node.get("arguments", [])]
        if node.get("class") != "FUNCTION" or apply is None or len(arguments) != 2:  # noqa: PLR2004
            raise NotCompilable(f"{node.get('class')} {node.get('function_name')}")
        (left, left_kind), (right, right_kind) = arguments
        if "double" not in {left_kind, right_kind}:
            raise NotCompilable("arithmetic of whole numbers, or of decimals")
        return _checked(apply, left, right), "double"


def _constant(node: Node) -> tuple[OfNumbers, str]:
    import numpy as np

    value = RowCompiler({}).compile(node)
    if value.kind not in {"int", "decimal", "double"}:
        raise NotCompilable(f"the constant {value.code}")
    number = np.float64(ast.literal_eval(value.code))
    return lambda _: number, value.kind


def _checked(apply: Callable[[Any, Any], Any], left: OfNumbers, right: OfNumbers) -> OfNumbers:
    def made(numbers: Numbers) -> Any:
        result = apply(left(numbers), right(numbers))
        _check(result, LARGEST_DOUBLE)
        return result

    return made
