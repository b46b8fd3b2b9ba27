"""What a change did to a model: its metrics and errors on held-out rows, beside another model's on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.metrics import METRICS, expected_calibration_error, paired_bootstrap
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Evaluation, Interval


class Confusion(Frozen):
    """Decisions at a threshold (score at or above it: positive) against the truth, in rows."""

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float | None:
        """Share of the rows called positive that are; None where none was."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of the positives that were called so."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def accuracy(self) -> float | None:
        """Share of the rows that were called rightly."""
        right, rows = self.true_positives + self.true_negatives, self.false_positives + self.false_negatives
        return _share(right, right + rows)


class ReportedModel(Frozen):
    """One model of the report."""

    name: str = Field(description="As the report calls it: this, main, champion v3.")
    version: str | None = Field(description="In the registry; None: it was not registered.")
    git_commit: str
    run_key: str
    snapshot_id: str = Field(description="The newest source snapshot that it was trained on.")
    train_rows: int
    features: tuple[str, ...]
    metrics: dict[str, Interval]
    expected_calibration_error: float
    confusion: Confusion


class ModelReport(Frozen):
    """A model on the rows that its training held out, and another one on the same rows."""

    use_case: str
    metric: str = Field(description="The one that the gate decides by.")
    confidence: float
    rows: int
    positives: int
    decision: str = Field(description="Of the gate when it was trained: promote or reject.")
    reasons: tuple[str, ...]
    model: ReportedModel
    other: ReportedModel | None = None
    difference: dict[str, Interval] = Field(
        default_factory=dict, description="Model minus other, paired; larger is better for every metric."
    )
    probability_better: dict[str, float] = Field(default_factory=dict)
    note: str = Field(default="", description="Why there is no other model, or what to bear in mind.")


class Report(Frozen):
    """Numbers, and the points of the plots."""

    report: ModelReport
    evaluation: Evaluation


class Candidate(Frozen):
    """A model of the report before anything was measured."""

    name: str
    version: str | None
    trained: TrainedModel
    features: tuple[str, ...]


def confusion(labels: Any, scores: Any, threshold: float) -> Confusion:
    """Counts of decisions against labels [rows] of 0 and 1."""
    truth, called = np.asarray(labels) == 1, np.asarray(scores, np.float64) >= threshold
    return Confusion(
        threshold=threshold,
        true_positives=int(np.sum(truth & called)),
        false_positives=int(np.sum(~truth & called)),
        false_negatives=int(np.sum(truth & ~called)),
        true_negatives=int(np.sum(~truth & ~called)),
    )


def model_report(  # noqa: PLR0913
    use_case: UseCase,
    labels: Any,
    model: tuple[Candidate, Any],
    other: tuple[Candidate, Any] | None,
    *,
    decision: str,
    reasons: tuple[str, ...],
    note: str = "",
) -> ModelReport:
    """Measure both models, with the gate's own intervals.

    Args:
        use_case: its gate says how, its deployment from which score on a row is called positive.
        labels: [rows] of 0 and 1, both present.
        model: the report's model, and its scores [rows].
        other: what it is compared with.
        decision: of the gate.
        reasons: of the gate.
        note: what the reader has to know.
    """
    gate = use_case.gate
    spread = paired_bootstrap(
        labels,
        model[1],
        other[1] if other else None,
        samples=gate.bootstrap_samples,
        confidence=gate.confidence,
        seed=use_case.train.seed,
    )
    threshold = use_case.deployment.decision_threshold
    return ModelReport(
        use_case=use_case.name,
        metric=gate.metric,
        confidence=gate.confidence,
        rows=len(labels),
        positives=int(np.sum(np.asarray(labels) == 1)),
        decision=decision,
        reasons=reasons,
        model=_reported(model, spread.challenger, labels, threshold),
        other=_reported(other, spread.champion, labels, threshold) if other else None,
        difference={m: spread.difference[m] for m in METRICS if m in spread.difference},
        probability_better=dict(spread.probability_better),
        note=note,
    )


def _reported(model: tuple[Candidate, Any], metrics: Any, labels: Any, threshold: float) -> ReportedModel:
    candidate, scores = model
    lineage = candidate.trained.lineage
    return ReportedModel(
        name=candidate.name,
        version=candidate.version,
        git_commit=lineage.code.git_commit,
        run_key=lineage.run_key,
        snapshot_id=lineage.training_set.range.to_snapshot_id,
        train_rows=candidate.trained.train_rows,
        features=candidate.features,
        metrics={metric: metrics[metric] for metric in METRICS},
        expected_calibration_error=expected_calibration_error(labels, scores),
        confusion=confusion(labels, scores, threshold),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
