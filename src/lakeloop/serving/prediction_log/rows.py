"""Segments -> rows of the prediction table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lakeloop.domain.prediction_table import PIECE_COLUMN
from lakeloop.serving.prediction_log.segments import Record
from lakeloop.serving.predictor.protocols import v1_rows, v2_rows
from lakeloop.serving.rows import counted, named_rows, parse_json


def prediction_rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Rows of one segment, whose first record says who answered."""
    who: Mapping[str, Any] = {}
    for header, body in records:
        if "identity" in header:
            who = header
            continue
        inputs = header.get("inputs") or inputs_of(header["form"], body, who["columns"])
        for prediction_id, score, row in zip(header["ids"], header["scores"], inputs, strict=True):
            told = {"predicted_at": header["at_us"], "purpose": header.get("purpose")}
            yield {**told, **_row(who, prediction_id, score, row)}


def inputs_of(form: str, body: bytes, columns: Mapping[str, str]) -> list[Any]:
    """What was sent, row by row, of a request as it was sent: in lakeloop's own form ("rows"), v1 or v2.

    Raises:
        InvalidRequest: it is not of that form; a server has looked before it logged it.
    """
    request = parse_json(body)
    if form == "v1":
        return named_rows(v1_rows(request), columns)
    return v2_rows(request, columns) if form == "v2" else counted(request, "rows")


def _row(who: Mapping[str, Any], prediction_id: str, score: float, row: Any) -> dict[str, Any]:
    identity = who["identity"]
    return {
        "prediction_id": prediction_id,
        "model_name": identity["model_name"],
        "model_version": identity["version"],
        "model_digest": identity["model_digest"],
        "snapshot_id": identity["to_snapshot_id"],
        "score": score,
        "decision": score >= identity["decision_threshold"],
        "inputs": json.dumps(row),
        PIECE_COLUMN: who["segment"],
    }
