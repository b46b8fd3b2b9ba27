"""Model metrics of the workbench, kept in the file that CAI_METRICS_FILE names."""

from __future__ import annotations

from typing import Any

from cml import _store


def track_metric(key: str, value: Any) -> None:
    """A metric of the prediction that is being made."""
    _store.track(key, value)


def track_delayed_metrics(metrics: dict[str, Any], prediction_uuid: str) -> None:
    """Metrics of an earlier prediction, e.g. what came true."""
    _store.add(prediction_uuid, metrics)


def track_aggregate_metrics(
    metrics: dict[str, Any],
    start_timestamp_ms: int,
    end_timestamp_ms: int,
    model_deployment_crn: str | None = None,
) -> None:
    """Metrics of a span of time."""
    _store.aggregate(metrics, start_timestamp_ms, end_timestamp_ms, model_deployment_crn)


def read_metrics(  # noqa: PLR0913, PLR0917 - the platform's signature
    model_crn: str | None = None,
    model_build_crn: str | None = None,
    model_deployment_crn: str | None = None,
    start_timestamp_ms: int | None = None,
    end_timestamp_ms: int | None = None,
    dev: bool = False,
) -> dict[str, Any]:
    """What was tracked, in a span of time."""
    if not (model_crn or model_build_crn or model_deployment_crn or dev):
        raise ValueError("one of model_crn, model_build_crn, model_deployment_crn must be given")
    return {"metrics": _store.read(start_timestamp_ms, end_timestamp_ms)}
