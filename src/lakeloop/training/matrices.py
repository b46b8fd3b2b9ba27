"""Chunks of rows -> QuantileDMatrix, never a second copy of all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xgboost as xgb

from lakeloop.domain.encoding import Matrix
from lakeloop.domain.feature_rows import Floats, Indices
from lakeloop.domain.features import FeatureEncoding

CHUNK_ROWS = 262_144


class _Chunks(xgb.DataIter):  # type: ignore[misc]
    """XGBoost's data iterator over the rows in their order."""

    def __init__(
        self, rows: Indices, labels: Floats, matrix: Callable[[Indices], Matrix], encoding: FeatureEncoding
    ) -> None:
        self._rows, self._labels, self._matrix, self._encoding = rows, labels, matrix, encoding
        self._at = 0
        super().__init__()

    def next(self, input_data: Callable[..., Any]) -> bool:
        chunk = self._rows[self._at : self._at + CHUNK_ROWS]
        if not len(chunk):
            return False
        self._at += CHUNK_ROWS
        input_data(
            data=self._matrix(chunk),
            label=self._labels[chunk],
            feature_names=self._encoding.names,
            feature_types=self._encoding.xgboost_types,
        )
        return True

    def reset(self) -> None:
        self._at = 0


def quantile_matrix(  # noqa: PLR0913 - one call builds either matrix
    rows: Indices,
    labels: Floats,
    matrix: Callable[[Indices], Matrix],
    encoding: FeatureEncoding,
    *,
    threads: int,
    max_bin: int,
    reference: xgb.QuantileDMatrix | None = None,
) -> xgb.QuantileDMatrix:
    """The rows, quantised; `reference` (the training matrix) gives the cut points of a validation matrix."""
    return xgb.QuantileDMatrix(
        _Chunks(rows, labels, matrix, encoding),
        nthread=threads or None,
        max_bin=max_bin,
        ref=reference,
        enable_categorical=True,
    )
