"""Metrics of binary scores, their curves, paired bootstrap intervals (not scikit-learn: docs/adr/0005).

Every metric takes row weights, because a bootstrap resample is nothing but weights: how often each row was
drawn. Scores are sorted once, then each resample costs a few passes over the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lakeloop.domain.use_case import Metric
from lakeloop.domain.verdict import Curve, Interval

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]

METRICS: tuple[Metric, ...] = ("roc_auc", "pr_auc", "log_loss", "brier")
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"log_loss", "brier"})
MAX_CURVE_POINTS = 200
MAX_BOOTSTRAP_ROWS = 100_000
CALIBRATION_BINS = 10


def better_by(metric: Metric, challenger: float, champion: float) -> float:
    """Challenger minus champion where larger is better, champion minus challenger where smaller is."""
    return champion - challenger if metric in LOWER_IS_BETTER else challenger - champion


class Scored:
    """Labels with one model's scores, ready for weighted metrics.

    Args:
        labels: [rows] of 0 and 1, both present.
        scores: [rows] probabilities of class 1.
    """

    def __init__(self, labels: Any, scores: Any) -> None:
        self.labels: Vector = np.asarray(labels, np.float64)
        self.scores: Vector = np.asarray(scores, np.float64)
        self._negatives, self._positives = _ascending(self, 0), _ascending(self, 1)[::-1]
        high, low = self.scores[self._positives], self.scores[self._negatives]
        # By positive: how many negatives score less, and how many score no more.
        self._below, self._upto = np.searchsorted(low, high, "left"), np.searchsorted(low, high, "right")
        # By positive, highest first: the last one with the same score.
        self._last_tie = np.searchsorted(-high, -high, "right") - 1
        small = np.finfo(np.float64).eps
        clipped = np.clip(self.scores, small, 1 - small)
        self._log_losses = -np.log(np.where(self.labels == 1, clipped, 1 - clipped))
        self._squared_errors = (self.scores - self.labels) ** 2

    def value(self, metric: Metric, weights: Vector | None = None) -> float:
        """One metric.

        Args:
            metric: `roc_auc`: probability that a positive outranks a negative, ties count half (Hanley and
                McNeil, 1982). `pr_auc`: average precision, sum of precision times the step in recall, as
                scikit-learn's average_precision_score (no interpolation: Davis and Goadrich, 2006).
                `log_loss`: mean negative log-likelihood. `brier`: mean squared error (Brier, 1950).
            weights: [rows], default 1 each.
        """
        return self.values((metric,), weights)[0]

    def values(self, metrics: tuple[Metric, ...], weights: Vector | None = None) -> tuple[float, ...]:
        """Several metrics, sharing the work."""
        used = np.ones(len(self.labels)) if weights is None else weights
        positive = used[self._positives]
        negative = np.concatenate([[0.0], np.cumsum(used[self._negatives])])
        return tuple(self._one(metric, used, positive, negative) for metric in metrics)

    def _one(self, metric: Metric, weights: Vector, positive: Vector, negative: Vector) -> float:
        """`positive`: weight by positive, highest first. `negative`: weight of the i lowest negatives."""
        if metric == "roc_auc":
            below = 0.5 * (negative[self._below] + negative[self._upto])
            return _dot(positive, below) / (float(positive.sum()) * float(negative[-1]))
        if metric == "pr_auc":
            found = np.cumsum(positive)[self._last_tie]
            taken = found + (negative[-1] - negative[self._below])
            precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
            return _dot(positive, precision) / float(positive.sum())
        losses = self._log_losses if metric == "log_loss" else self._squared_errors
        return _dot(weights, losses) / float(weights.sum())


def _ascending(scored: Scored, label: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rows = np.flatnonzero(scored.labels == label)
    return rows[np.argsort(scored.scores[rows], kind="stable")]


def _dot(one: Vector, other: Vector) -> float:
    """Not `@`: BLAS would start threads, and their number would show in the last digits."""
    return float(np.einsum("i,i->", one, other))


def expected_calibration_error(labels: Any, scores: Any, bins: int = CALIBRATION_BINS) -> float:
    """Mean |observed rate - mean score| over equal-width bins, weighted by rows (Naeini et al., 2015)."""
    counts, mean_scores, rates = _calibration(
        np.asarray(labels, np.float64), np.asarray(scores, np.float64), bins
    )
    return float(_dot(np.abs(rates - mean_scores), counts) / counts.sum())


def calibration_curve(labels: Any, scores: Any, bins: int = CALIBRATION_BINS) -> Curve:
    """Observed rate over mean score, for the bins that hold rows."""
    _, mean_scores, rates = _calibration(np.asarray(labels, np.float64), np.asarray(scores, np.float64), bins)
    return _curve(mean_scores, rates)


def _calibration(labels: Vector, scores: Vector, bins: int) -> tuple[Vector, Vector, Vector]:
    index = np.minimum((scores * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins).astype(np.float64)
    filled = counts > 0
    score_sums = np.bincount(index, weights=scores, minlength=bins)[filled]
    label_sums = np.bincount(index, weights=labels, minlength=bins)[filled]
    return counts[filled], score_sums / counts[filled], label_sums / counts[filled]


def roc_curve(labels: Any, scores: Any) -> Curve:
    """True positive rate over false positive rate, from (0, 0) to (1, 1)."""
    found, taken = _by_threshold(labels, scores)
    positives, rows = found[-1], taken[-1]
    false_rate = np.concatenate([[0.0], (taken - found) / (rows - positives)])
    return _thinned(false_rate, np.concatenate([[0.0], found / positives]))


def precision_recall_curve(labels: Any, scores: Any) -> Curve:
    """Precision over recall, by falling threshold."""
    found, taken = _by_threshold(labels, scores)
    return _thinned(found / found[-1], found / taken)


def score_histogram(scores: Any, bins: int = 40) -> Curve:
    """Share of the rows over the bins' centres, on [0, 1]."""
    values = np.asarray(scores, np.float64)
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    return _curve((edges[:-1] + edges[1:]) / 2, counts / max(len(values), 1))


def _by_threshold(labels: Any, scores: Any) -> tuple[Vector, Vector]:
    """Positives and rows at or above each distinct score, highest first."""
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    last = np.concatenate([values[order][1:] != values[order][:-1], [True]])
    return np.cumsum(truth[order])[last], (np.flatnonzero(last) + 1).astype(np.float64)


def _thinned(x: Vector, y: Vector) -> Curve:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_CURVE_POINTS)).round().astype(np.int64))
    return _curve(x[kept], y[kept])


def _curve(x: Any, y: Any) -> Curve:
    return Curve(x=tuple(np.round(x, 6).tolist()), y=tuple(np.round(y, 6).tolist()))


@dataclass(frozen=True)
class Bootstrap:
    """Percentile intervals (Efron and Tibshirani, 1993, chapter 13): both models, and their difference."""

    challenger: dict[Metric, Interval]
    champion: dict[Metric, Interval]
    difference: dict[Metric, Interval]
    probability_better: dict[Metric, float]


def paired_bootstrap(  # noqa: PLR0913
    labels: Any,
    challenger: Any,
    champion: Any | None,
    *,
    samples: int,
    confidence: float,
    seed: int,
    strata: Literal["label", "none"] = "label",
) -> Bootstrap:
    """Both models on the same resamples of the same rows, so that what the rows have in common cancels out.

    Stratified by label (as pROC does by default: Robin et al., 2011), so that each resample has both classes.
    Above `MAX_BOOTSTRAP_ROWS` rows, the spread is that of a seeded sample of so many rows: wider than the
    truth, never narrower. Values are always of all rows.

    Args:
        labels: [rows] of 0 and 1, both present.
        challenger: [rows] scores.
        champion: [rows] scores, or None.
        samples: resamples.
        confidence: two-sided, e.g. 0.95.
        seed: of the resamples.
        strata: resample within the labels, or over all rows.
    """
    rng = np.random.default_rng(seed)
    truth = np.asarray(labels, np.float64)
    rows = _sample(truth, rng)
    models = [np.asarray(s, np.float64) for s in (challenger, champion) if s is not None]
    full = np.array([Scored(truth, s).values(METRICS) for s in models])
    sampled = [Scored(truth[rows], s[rows]) for s in models]
    draws = np.array(
        [[m.values(METRICS, w) for m in sampled] for w in _weights(truth[rows], samples, rng, strata)]
    )
    # A sample of the rows has its own value; what counts is how far the resamples are from that.
    draws += full - np.array([m.values(METRICS) for m in sampled])
    return _intervals(full, draws, confidence)


def _sample(truth: Vector, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if len(truth) <= MAX_BOOTSTRAP_ROWS:
        return np.arange(len(truth))
    parts = [np.flatnonzero(truth == label) for label in (0, 1)]
    share = MAX_BOOTSTRAP_ROWS / len(truth)
    chosen = [rng.choice(part, max(1, round(len(part) * share)), replace=False) for part in parts]
    return np.sort(np.concatenate(chosen))


def _weights(
    truth: Vector, samples: int, rng: np.random.Generator, strata: Literal["label", "none"]
) -> Iterator[Vector]:
    parts = (
        [np.flatnonzero(truth == label) for label in (0, 1)] if strata == "label" else [np.arange(len(truth))]
    )
    for _ in range(samples):
        weights = np.zeros(len(truth))
        for part in parts:
            weights[part] = np.bincount(rng.integers(0, len(part), len(part)), minlength=len(part))
        yield weights


def _intervals(full: Any, draws: Any, confidence: float) -> Bootstrap:
    def interval(value: float, values: Vector) -> Interval:
        low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(value=float(value), low=float(low), high=float(high))

    of_model = [
        {metric: interval(full[model, i], draws[:, model, i]) for i, metric in enumerate(METRICS)}
        for model in range(full.shape[0])
    ]
    difference: dict[Metric, Interval] = {}
    probability: dict[Metric, float] = {}
    for i, metric in enumerate(METRICS if len(of_model) > 1 else ()):
        sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
        values = sign * (draws[:, 0, i] - draws[:, 1, i])
        difference[metric] = interval(sign * (full[0, i] - full[1, i]), values)
        probability[metric] = float(np.mean(values > 0) + 0.5 * np.mean(values == 0))
    return Bootstrap(of_model[0], of_model[1] if len(of_model) > 1 else {}, difference, probability)
