"""What the report draws of a verdict: curves of both models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lakeloop.domain.metrics import calibration_curve, precision_recall_curve, roc_curve, score_histogram
from lakeloop.domain.verdict import Evaluation

Scoring = np.ndarray[tuple[int], np.dtype[Any]]


def evaluation(
    labels: Scoring, models: Mapping[str, Scoring], importance: dict[str, float], shap_rows: int
) -> Evaluation:
    """Curves by model name; none of them where the labels have one class only.

    Args:
        labels: [rows] of 0 and 1.
        models: name -> scores [rows]; models whose scores are no probabilities are left out.
        importance: of the challenger's features.
        shap_rows: behind `importance`.
    """
    drawn = {name: scores for name, scores in models.items() if np.isfinite(scores).all()}
    if len(np.unique(labels)) < 2:  # noqa: PLR2004 - both classes
        drawn = {}
    return Evaluation(
        roc={name: roc_curve(labels, scores) for name, scores in drawn.items()},
        precision_recall={name: precision_recall_curve(labels, scores) for name, scores in drawn.items()},
        calibration={name: calibration_curve(labels, scores) for name, scores in drawn.items()},
        score_histogram={name: score_histogram(scores) for name, scores in drawn.items()},
        shap_importance=importance,
        shap_rows=shap_rows,
    )
