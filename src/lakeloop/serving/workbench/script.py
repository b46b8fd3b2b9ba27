"""The function that a build of project files serves; tracked with the workbench's model metrics where asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakeloop.serving.workbench.answering import PROOF_ROW, ROW, Answering, asks_who, raw_rows

Function = Callable[[dict[str, Any]], Any]


def function_of(folder: Path, *, metrics: bool = False) -> Function:
    """`predict(request)` of a serving folder.

    Decorated with `cml.models_v1.cml_model` where the runtime has it: without, PBJ runtimes fail every request.

    Args:
        folder: with the model's files.
        metrics: track rows, scores and version under the prediction's uuid (`cml.metrics_v1`).
    """
    answering = Answering(folder)
    track = _tracker(answering) if metrics else None

    def predict(request: dict[str, Any]) -> Any:
        split = request.get("dataframe_split")
        if split is None:
            rows = request.get("rows", [])
            split = {"columns": [ROW], "data": [[json.dumps(row)] for row in rows]}
        records = answering.records(split["columns"], split["data"])
        if track is not None and not asks_who(split["columns"], split["data"]):
            track(split, records)
        return records

    return _decorated(predict, metrics=metrics)


def _decorated(function: Function, *, metrics: bool) -> Function:
    try:
        from cml.models_v1 import cml_model
    except ImportError:
        return function
    decorated: Function = cml_model(metrics=True)(function) if metrics else cml_model(function)
    return decorated


def _tracker(answering: Answering) -> Callable[[dict[str, Any], list[dict[str, Any]]], None]:
    from cml.metrics_v1 import track_metric

    identity = answering.model.identity

    def track(split: dict[str, Any], records: list[dict[str, Any]]) -> None:
        raw = raw_rows(split["columns"], split["data"])
        track_metric("model_version", identity.version)
        track_metric("model_digest", identity.model_digest)
        track_metric("snapshot_id", identity.to_snapshot_id)
        track_metric("decision_threshold", identity.decision_threshold)
        track_metric("purpose", "proof" if list(split["columns"]) == [PROOF_ROW] else "")
        track_metric("scores", [record["score"] for record in records])
        track_metric("prediction_ids", [record["prediction_id"] for record in records])
        track_metric("rows", [json.dumps(row) for row in raw])

    return track
