"""Many parsed JSON rows -> a model's matrix, column by column: a third of the time of row by row.

Columns that are features as they are become numbers all at once. The other features (expressions, categories) are the
compiled function of `row_function`, of just the columns that they read.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lakeloop.domain.features import FeatureEncoding

if TYPE_CHECKING:
    import numpy as np

Right = Callable[[Sequence[Any]], bool]
_NULL = type(None)
_BITS = {"int": 2**31, "long": 2**63}
_LARGEST_INT = 2**64
"""JSON's integers are no larger here; what is larger came another way, and goes the long one."""


class BatchFunction:
    """Rows as JSON gives them -> matrix; None where `RowFunction` must look at each row."""

    def __init__(
        self,
        encoding: FeatureEncoding,
        plain: Mapping[int, str],
        rest: Callable[..., Sequence[float]],
        needed: Sequence[str],
    ) -> None:
        """Of a model's encoding.

        Args:
            encoding: features and source columns, at least two of these.
            plain: places of features -> the numeric column that each of them is.
            rest: values of `needed` -> those of the other features, in their order.
            needed: columns; their values are checked by `rest`.
        """
        names = list(encoding.source_columns)
        self._width, self._names, self._get = len(encoding.features), set(names), itemgetter(*names)
        self._plain = [(place, names.index(column)) for place, column in plain.items()]
        self._others = [i for i in range(self._width) if i not in plain]
        self._rest, self._needed = rest, [names.index(name) for name in needed]
        self._checks = [
            (index, _right(type_))
            for index, (name, type_) in enumerate(encoding.source_columns.items())
            if name not in needed
        ]

    def matrix(self, rows: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """Float32 matrix [rows, features], NaN for missing.

        Raises:
            Undecided, ArithmeticError, TypeError, ValueError, KeyError: as the compiled functions; also a row that
                is no object.
        """
        import numpy as np

        if set(map(len, rows)) != {len(self._names)}:
            return None
        columns = list(zip(*map(self._get, rows), strict=True))
        if not all(right(columns[index]) for index, right in self._checks):
            return None
        matrix = np.empty((len(rows), self._width), np.float32)
        with np.errstate(over="ignore"):
            for place, index in self._plain:
                matrix[:, place] = np.array(columns[index], np.float64)
            if self._others:
                flat = array("d")
                for values in zip(*(columns[index] for index in self._needed), strict=True):
                    flat.extend(self._rest(*values))
                matrix[:, self._others] = np.frombuffer(flat).reshape(len(rows), len(self._others))
        return matrix


def _right(type_: str) -> Right:
    """Whether all values of a column are plainly of its type, or null."""
    base = type_.split("(", maxsplit=1)[0].strip().lower()
    if base in _BITS:
        bound = _BITS[base]
        return lambda values: set(map(type, values)) <= {int, _NULL} and _within(values, -bound, bound - 1)
    if base in {"double", "decimal"}:
        return _right_numbers
    kind = bool if base == "boolean" else str
    return lambda values: set(map(type, values)) <= {kind, _NULL}


def _right_numbers(values: Sequence[Any]) -> bool:
    kinds = set(map(type, values))
    if not kinds <= {float, int, _NULL}:
        return False
    return int not in kinds or _within([v for v in values if type(v) is int], -_LARGEST_INT, _LARGEST_INT)


def _within(values: Sequence[Any], low: int, high: int) -> bool:
    known = [v for v in values if v is not None]
    return not known or (min(known) >= low and max(known) <= high)
