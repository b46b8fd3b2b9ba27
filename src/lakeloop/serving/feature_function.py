"""Raw rows -> what a model's booster sees, by its encoding alone: no booster is needed, and none is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakeloop.domain.encoding import encode
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.rollout import Identity
from lakeloop.serving.column_types import to_arrow
from lakeloop.serving.compiled.column_function import ROWS_BY_COLUMN, ColumnFunction
from lakeloop.serving.compiled.row_function import RowFunction
from lakeloop.serving.compiled.sql_tree import NotCompilable
from lakeloop.serving.expressions import raw_to_features
from lakeloop.serving.rows import named_rows, typed_rows

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class FeatureFunction:
    """A model's encoding, as a function of rows."""

    encoding: FeatureEncoding
    identity: Identity

    @cached_property
    def compiled(self) -> RowFunction | None:
        """Rows -> matrix as one Python function; None where `not_compiled` says why DuckDB does it all."""
        return self._compiling[0]

    @cached_property
    def by_column(self) -> ColumnFunction | None:
        """The same for many rows at once; None where there are not only numbers."""
        try:
            return ColumnFunction(self.encoding)
        except NotCompilable:
            return None

    @property
    def not_compiled(self) -> str:
        """Why there is no compiled form; empty where there is."""
        return self._compiling[1]

    @cached_property
    def _compiling(self) -> tuple[RowFunction | None, str]:
        try:
            return RowFunction(self.encoding), ""
        except NotCompilable as reason:
            return None, str(reason)

    def matrix(self, rows: Sequence[Any], *, listed: bool = False) -> np.ndarray[Any, Any]:
        """What the booster sees [rows, features] of rows as JSON gives them.

        Args:
            rows: objects by column.
            listed: each may be a list of values in the source columns' order, too.

        Raises:
            InvalidRequest: a row does not have the model's columns and types.
            UserError: an expression cannot be evaluated.
        """
        ways = (self.by_column, self.compiled) if len(rows) >= ROWS_BY_COLUMN else (self.compiled,)
        for way in ways:
            matrix = way.matrix(rows, listed=listed) if way else None
            if matrix is not None:
                return matrix
        return self.matrix_by_duckdb(named_rows(rows, self.encoding.source_columns) if listed else rows)

    def matrix_by_duckdb(self, rows: Sequence[Any]) -> np.ndarray[Any, Any]:
        """The same by DuckDB, a hundred times slower for one row: for what the compiled form leaves undecided."""
        typed = typed_rows(rows, self.encoding.source_columns)
        features = raw_to_features(to_arrow(typed, self.encoding.source_columns), self.encoding)
        return encode(features, self.encoding)

    def matrices_of_nothing(self) -> list[np.ndarray[Any, Any]]:
        """Rows of nulls, by each way: what cannot work fails before a port opens, and no caller waits for a first time.

        Raises:
            UserError: an expression cannot be evaluated over the source columns.
        """
        nothing = [dict.fromkeys(self.encoding.source_columns)]
        return [self.matrix_by_duckdb(nothing), self.matrix(nothing), self.matrix(nothing * ROWS_BY_COLUMN)]
