"""Predictions that a served model tracked, with what came true of them: values, and what a window of them says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from lakeloop.domain.base import Frozen


class TrackedPrediction(Frozen):
    """One row that a model scored."""

    prediction_id: str
    request_id: str = Field(description="The platform's uuid of the request, one for all its rows.")
    at_ms: int
    score: float
    model_version: str
    snapshot_id: str
    model_digest: str = ""
    decision: bool | None = None
    purpose: str = Field(
        default="", description="Empty for callers' predictions; `proof` for those of a rollout."
    )
    row: str = Field(default="", description="The raw row as JSON text, where it was sent so.")
    truth: bool | None = Field(default=None, description="What came true; None while it is not known.")


def tracked_predictions(records: Iterable[Mapping[str, Any]]) -> tuple[TrackedPrediction, ...]:
    """Rows of the platform's records (`read_metrics`), oldest first; records of others, and aggregates, are left out.

    Args:
        records: `{predictionUuid, startTimeStampMs, metrics: {scores, prediction_ids, rows, truths, ...}}`.
    """
    found: list[TrackedPrediction] = []
    for record in records:
        metrics = record.get("metrics") or {}
        scores, ids = metrics.get("scores"), metrics.get("prediction_ids")
        if not record.get("predictionUuid") or not isinstance(scores, list) or not isinstance(ids, list):
            continue
        rows, truths = metrics.get("rows") or [], metrics.get("truths") or {}
        threshold = metrics.get("decision_threshold")
        found += [
            TrackedPrediction(
                prediction_id=str(id_),
                request_id=str(record["predictionUuid"]),
                at_ms=int(record.get("startTimeStampMs") or 0),
                score=float(score),
                model_version=str(metrics.get("model_version", "")),
                snapshot_id=str(metrics.get("snapshot_id", "")),
                model_digest=str(metrics.get("model_digest", "")),
                decision=None if threshold is None else float(score) >= float(threshold),
                purpose=str(metrics.get("purpose") or ""),
                row=rows[n] if n < len(rows) and isinstance(rows[n], str) else "",
                truth=truths.get(str(id_)),
            )
            for n, (id_, score) in enumerate(zip(ids, scores, strict=False))
        ]
    return tuple(sorted(found, key=lambda p: (p.at_ms, p.prediction_id)))


def window_metrics(predictions: Sequence[TrackedPrediction]) -> dict[str, float]:
    """What a span of time says: how many, their mean score, and against what came true, where that is known.

    The Brier score is the mean squared difference of score and truth.
    """
    if not predictions:
        return {"predictions": 0.0}
    known = [(p.score, float(p.truth)) for p in predictions if p.truth is not None]
    found = {
        "predictions": float(len(predictions)),
        "mean_score": sum(p.score for p in predictions) / len(predictions),
        "known_truths": float(len(known)),
    }
    if known:
        found["positive_rate"] = sum(truth for _, truth in known) / len(known)
        found["brier"] = sum((score - truth) ** 2 for score, truth in known) / len(known)
    return found


def truths_by_request(
    predictions: Sequence[TrackedPrediction], truths: Mapping[str, bool]
) -> dict[str, dict[str, bool]]:
    """Truths by request, as the platform keeps them: all that is known of each request that has a new one.

    Args:
        predictions: as tracked so far.
        truths: what came true, by prediction id; ids that were not tracked are left out.
    """
    known: dict[str, dict[str, bool]] = {}
    new: set[str] = set()
    for prediction in predictions:
        truth = truths.get(prediction.prediction_id, prediction.truth)
        if truth is not None:
            known.setdefault(prediction.request_id, {})[prediction.prediction_id] = truth
        if prediction.prediction_id in truths and truths[prediction.prediction_id] != prediction.truth:
            new.add(prediction.request_id)
    return {request: known[request] for request in sorted(new)}


def aggregates(records: Iterable[Mapping[str, Any]]) -> dict[tuple[int, int], dict[str, float]]:
    """Metrics of whole spans (start, end in milliseconds) among the platform's records; of several, the last."""
    found: dict[tuple[int, int], dict[str, float]] = {}
    for record in records:
        metrics, start, end = (record.get(k) for k in ("metrics", "startTimeStampMs", "endTimeStampMs"))
        if not record.get("predictionUuid") and isinstance(metrics, Mapping) and start is not None:
            numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, int | float)}
            found[int(start), int(end or 0)] = numbers
    return found
