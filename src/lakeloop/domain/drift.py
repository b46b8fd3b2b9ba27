"""Whether predictions still look like the rows that their model was trained on: from values to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.drift_policy import DriftPolicy
from lakeloop.domain.errors import UserError
from lakeloop.domain.features import FeatureEncoding

Values = np.ndarray[Any, np.dtype[np.floating[Any]]]
Decision = Literal["steady", "drifted", "too_few", "unreachable"]
Source = Literal["log", "workbench"]
BINS = 10
FALSE_ALARM = 0.001
"""Chance that a verdict says drift of the same distribution, over all its comparisons."""


class Window(Frozen):
    """A span of time, and what its predictions say (lakeloop.domain.tracked.window_metrics)."""

    start_ms: int
    end_ms: int = Field(description="Exclusive.")
    metrics: dict[str, float]


class Comparison(Frozen):
    """One thing compared; `passed` is None where too few rows are known."""

    name: str = Field(description="feature NAME, score, positive_rate or brier")
    passed: bool | None
    observed: float
    trained: float | None = Field(default=None, description="The same of the training, where it is a number.")
    limit: float


class DriftVerdict(Frozen):
    """Artifact `verdict` of check_drift. `unreachable`: nothing is known; the step fails as well."""

    decision: Decision
    reasons: tuple[str, ...]
    model_name: str
    model_version: str = ""
    snapshot_id: str = Field(default="", description="The newest snapshot that the model was trained on.")
    source: Source = Field(default="log", description="Where predictions were read first.")
    start_ms: int = 0
    end_ms: int = 0
    predictions: int = 0
    truths: int = 0
    of_other_versions: int = Field(default=0, description="Predictions that were left out of the comparison.")
    brought_in: int = Field(
        default=0, description="Rows of the workbench that were new to the prediction log."
    )
    trained_rows: int = Field(default=0, description="Rows of the training that were compared; a sample.")
    comparisons: tuple[Comparison, ...] = ()
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Seen:
    """Rows as a model sees them.

    Attributes:
        matrix: [rows, features] in the encoding's order; NaN: missing.
        scores: [scored].
        outcomes: [known] of 0 and 1.
        outcome_scores: [known], of the same rows.
    """

    matrix: Values
    scores: Values
    outcomes: Values
    outcome_scores: Values


def compare(trained: Seen, served: Seen, encoding: FeatureEncoding, policy: DriftPolicy) -> list[Comparison]:
    """Features, scores and outcomes of served rows against those of the training.

    Args:
        trained: a sample of the training; its scores and outcomes are of rows that the model was not fitted to.
        served: the predictions.
        encoding: of the model.
        policy: limits.
    """
    found = [
        _of_values(
            f"feature {feature.name}",
            trained.matrix[:, i],
            served.matrix[:, i],
            policy,
            len(encoding.features),
        )
        for i, feature in enumerate(encoding.features)
    ]
    found.append(_of_values("score", trained.scores, served.scores, policy, len(encoding.features)))
    return found + _outcomes(trained, served, policy)


def _of_values(name: str, trained: Values, served: Values, policy: DriftPolicy, features: int) -> Comparison:
    shares, other = _shares(trained, served)
    if len(trained) == 0 or len(served) < policy.min_predictions:
        return Comparison(name=name, passed=None, observed=0.0, limit=policy.max_psi)
    chance = by_chance(len(shares), len(trained), len(served), FALSE_ALARM / (features + 1))
    limit, observed = policy.max_psi + chance, psi(shares, other)
    return Comparison(name=name, passed=observed <= limit, observed=round(observed, 6), limit=round(limit, 6))


def _outcomes(trained: Seen, served: Seen, policy: DriftPolicy) -> list[Comparison]:
    if not len(trained.outcomes):
        return []
    known = len(served.outcomes)
    enough = known >= policy.min_truths
    rate, rate_then = _mean(served.outcomes), _mean(trained.outcomes)
    brier, brier_then = _brier(served), _brier(trained)
    # Three standard errors of a mean of so many rows are chance.
    rate_limit = policy.max_rate_shift + 3 * _error(trained.outcomes, known)
    brier_limit = policy.max_brier_rise + 3 * _error((trained.outcomes - trained.outcome_scores) ** 2, known)
    return [
        Comparison(
            name="positive_rate",
            passed=abs(rate - rate_then) <= rate_limit if enough else None,
            observed=round(rate, 6),
            trained=round(rate_then, 6),
            limit=round(rate_limit, 6),
        ),
        Comparison(
            name="brier",
            passed=brier - brier_then <= brier_limit if enough else None,
            observed=round(brier, 6),
            trained=round(brier_then, 6),
            limit=round(brier_limit, 6),
        ),
    ]


def _shares(trained: Values, served: Values) -> tuple[Values, Values]:
    """Shares [bins + 1] of both: bins between the training's deciles, the last one for missing values.

    Values that the training has many of get a bin of their own, so that categories and counts are compared one by one.
    """
    known = trained[~np.isnan(trained)]
    distinct = np.unique(known)
    if len(distinct) <= BINS:
        edges = (distinct[1:] + distinct[:-1]) / 2
    else:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    return _counted(trained, edges), _counted(served, edges)


def _counted(values: Values, edges: Values) -> Values:
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, "right"), minlength=len(edges) + 1)
    counts = np.append(counts, len(values) - len(known)).astype(np.float64)
    # Half a row more in each bin: an empty one would make the index infinite.
    smoothed: Values = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return smoothed


def psi(expected: Values, observed: Values) -> float:
    """Population stability index of two distributions over the same bins: sum of (o - e) ln(o / e)."""
    return float(np.sum((observed - expected) * np.log(observed / expected)))


def by_chance(bins: int, expected_rows: int, observed_rows: int, chance: float) -> float:
    """The index that two samples of one distribution exceed with this chance only.

    It is about chi-squared with bins - 1 degrees of freedom, times 1/n + 1/m (Yurdakul, 2018); its quantile by Wilson
    and Hilferty (1931).
    """
    freedom = max(1, bins - 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + NormalDist().inv_cdf(1 - chance) * math.sqrt(spread)) ** 3
    return quantile * (1 / max(1, expected_rows) + 1 / max(1, observed_rows))


def _mean(values: Values) -> float:
    return float(values.mean()) if len(values) else 0.0


def _brier(seen: Seen) -> float:
    return _mean((seen.outcomes - seen.outcome_scores) ** 2)


def _error(values: Values, rows: int) -> float:
    """Standard error of the difference of two means, of all these values and of `rows` more."""
    return float(values.std()) * math.sqrt(1 / max(1, len(values)) + 1 / max(1, rows))


def decided(comparisons: Sequence[Comparison], predictions: int, policy: DriftPolicy) -> dict[str, Any]:
    """Decision and reasons of a verdict."""
    if predictions < policy.min_predictions:
        few = f"{predictions} predictions, {policy.min_predictions} are needed (drift.min_predictions)"
        return {"decision": "too_few", "reasons": (few,)}
    off = sorted((c for c in comparisons if c.passed is False), key=lambda c: c.limit - c.observed)
    if off:
        return {"decision": "drifted", "reasons": tuple(map(_said, off))}
    judged = sum(c.passed is not None for c in comparisons)
    return {"decision": "steady", "reasons": (f"{judged} comparisons, none beyond its limit",)}


def _said(comparison: Comparison) -> str:
    if comparison.trained is None:
        return f"{comparison.name}: stability index {comparison.observed:.3g}, allowed {comparison.limit:.3g}"
    shift = comparison.observed - comparison.trained
    return (
        f"{comparison.name}: {comparison.observed:.3g}, in training {comparison.trained:.3g}; "
        f"{shift:+.3g}, allowed {comparison.limit:.3g}"
    )


def spans(end_ms: int, policy: DriftPolicy) -> list[tuple[int, int]]:
    """Whole windows [start, end) of UTC that ended by `end_ms`, oldest first."""
    length = policy.window_hours * 3_600_000
    last = end_ms // length * length
    return [(last - n * length, last - (n - 1) * length) for n in range(policy.windows, 0, -1)]


def changed_windows(
    windows: Sequence[Window], known: Mapping[tuple[int, int], Mapping[str, float]]
) -> list[Window]:
    """Those that hold predictions and are not kept as they are now.

    Args:
        windows: as they are now.
        known: what is kept of each span.
    """
    full = (w for w in windows if w.metrics.get("predictions"))
    return [w for w in full if dict(known.get((w.start_ms, w.end_ms), {})) != w.metrics]


def source_of(text: str, *, tracks: bool) -> Source:
    """Where predictions are read; `auto`: in the workbench where it tracks them, else in the prediction log.

    Raises:
        UserError: it is none of the three.
    """
    match text.strip():
        case "log" | "workbench" as named:
            return named
        case "auto" | "":
            return "workbench" if tracks else "log"
    raise UserError(f"{text!r} is no source", where="source", fix="write auto, log or workbench")
