"""Which feature moved a score, by how much: TreeSHAP, as XGBoost computes it with `pred_contribs`.

Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakeloop.domain.errors import LakeloopError
from lakeloop.serving.predictor.protocols import Explanation

if TYPE_CHECKING:
    import numpy as np

    from lakeloop.serving.model import ServedModel

MAX_EXPLAINED_ROWS = 1_000
_TOLERANCE = 1e-3
"""Contributions are float32: their sum differs from the margin by rounding only."""


def explain(model: ServedModel, matrix: np.ndarray[Any, Any]) -> Explanation:
    """Contributions [rows, features] and bias [rows], in the margin's unit (log odds for a logistic model).

    Raises:
        LakeloopError: they do not sum to the margin.
    """
    import numpy as np
    import xgboost

    names, types = model.encoding.names, model.encoding.xgboost_types
    # A number beyond float32 is infinite here: the trees know what to do with it, a DMatrix takes none.
    largest = np.finfo(np.float32).max
    data = xgboost.DMatrix(
        np.clip(matrix, -largest, largest),
        feature_names=names,
        feature_types=types,
        enable_categorical=True,
        nthread=1,
    )
    contributions = model.booster.predict(data, pred_contribs=True).astype(np.float64)
    margins = model.booster.predict(data, output_margin=True).astype(np.float64)
    difference = np.abs(contributions.sum(axis=1) - margins)
    if not (difference <= _TOLERANCE * (1 + np.abs(contributions).sum(axis=1))).all():
        raise LakeloopError("the contributions do not sum to the margin", where="explain")
    return Explanation(
        bias=contributions[:, -1].tolist(),
        contributions=[dict(zip(names, row, strict=True)) for row in contributions[:, :-1].tolist()],
    )
