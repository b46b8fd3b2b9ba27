"""The gate's answer, a machine-readable record with reasons."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen


class Interval(Frozen):
    """A value with its bootstrap confidence interval."""

    value: float
    low: float
    high: float


class Check(Frozen):
    """One condition of the gate."""

    name: str = Field(description="e.g. evidence, floor, improvement, calibration, slice(column=value)")
    passed: bool
    observed: str
    required: str


class Scores(Frozen):
    """Holdout metrics of one model, each with its interval."""

    model: str = Field(description="'challenger', or 'champion vN'")
    metrics: dict[str, Interval]
    expected_calibration_error: float | None = None


class Verdict(Frozen):
    """Artifact `verdict` of evaluate_model. A rejection is a successful run."""

    decision: Literal["promote", "reject"]
    bootstrap: bool = Field(description="True: there was no champion; an explicit first model.")
    metric: str
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    rows: int
    positives: int
    challenger: Scores | None
    champion: Scores | None = None
    champion_version: str | None = None
    difference: Interval | None = Field(
        default=None, description="Challenger minus champion, paired; larger is better."
    )
    probability_better: float | None = None
    scoring_seconds: float = Field(
        default=0.0, description="Predictions of both models, metrics, resamples, and TreeSHAP."
    )


class Curve(Frozen):
    """Points of a plot, at most 200 of them."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Evaluation(Frozen):
    """What the report draws (artifact `evaluation` of evaluate_model): per model the curves and importances."""

    roc: dict[str, Curve] = Field(default_factory=dict)
    precision_recall: dict[str, Curve] = Field(default_factory=dict)
    calibration: dict[str, Curve] = Field(
        default_factory=dict, description="Mean score a bin against observed rate."
    )
    score_histogram: dict[str, Curve] = Field(default_factory=dict)
    shap_importance: dict[str, float] = Field(
        default_factory=dict, description="Mean |TreeSHAP| a feature, challenger."
    )
    shap_rows: int = 0
