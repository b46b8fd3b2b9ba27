"""Boosters on rows: scores, and TreeSHAP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xgboost as xgb

from lakeloop.domain.encoding import Matrix
from lakeloop.domain.feature_rows import Indices
from lakeloop.domain.features import FeatureEncoding

SHAP_ROWS = 2_000
_CHUNK_ROWS = 262_144


def scores(
    booster: bytes, encoding: FeatureEncoding, matrix: Callable[[Indices], Matrix], rows: Indices
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Probabilities [rows], chunk by chunk."""
    model = xgb.Booster(model_file=bytearray(booster))
    parts = [
        model.predict(_data(matrix(rows[at : at + _CHUNK_ROWS]), encoding))
        for at in range(0, len(rows), _CHUNK_ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def shap_importance(
    booster: bytes, encoding: FeatureEncoding, matrix: Callable[[Indices], Matrix], rows: Indices, seed: int
) -> tuple[dict[str, float], int]:
    """Mean |TreeSHAP| a feature, in log-odds (Lundberg et al., 2020), largest first, and of how many rows.

    Of a seeded sample of at most `SHAP_ROWS` rows.
    """
    rng = np.random.default_rng(seed)
    chosen = rows if len(rows) <= SHAP_ROWS else np.sort(rng.choice(rows, SHAP_ROWS, replace=False))
    model = xgb.Booster(model_file=bytearray(booster))
    # The last column is the bias.
    contributions: Any = model.predict(_data(matrix(chosen), encoding), pred_contribs=True)[:, :-1]
    means = np.abs(contributions).mean(axis=0, dtype=np.float64)
    ranked: Mapping[str, float] = dict(zip(encoding.names, means.tolist(), strict=True))
    return dict(sorted(ranked.items(), key=lambda item: -item[1])), len(chosen)


def _data(matrix: Matrix, encoding: FeatureEncoding) -> xgb.DMatrix:
    return xgb.DMatrix(
        matrix, feature_names=encoding.names, feature_types=encoding.xgboost_types, enable_categorical=True
    )
