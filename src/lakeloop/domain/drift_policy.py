"""What counts as drift of a served model: keys of a use case (`drift`). They never show in a model."""

from __future__ import annotations

from pydantic import Field

from lakeloop.domain.base import Frozen


class DriftPolicy(Frozen):
    """Which predictions are compared with the training of the model that made them, and how far off they may be."""

    window_hours: int = Field(
        default=24, ge=1, le=24 * 31, description="Predictions are summed up in whole windows of UTC."
    )
    windows: int = Field(default=7, ge=1, le=400, description="How many of them are compared.")
    min_predictions: int = Field(
        default=500, ge=1, description="With fewer predictions nothing is said about drift."
    )
    min_truths: int = Field(
        default=100, ge=1, description="With fewer known outcomes nothing is said about them."
    )
    max_psi: float = Field(
        default=0.2,
        gt=0,
        description="Population stability index of a feature or of the score. What chance alone can give for so "
        "many rows is allowed as well.",
    )
    max_rate_shift: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Difference of the share of positives: outcomes against training.",
    )
    max_brier_rise: float = Field(
        default=0.05, gt=0, le=1, description="Brier score of the outcomes above that of the holdout."
    )
