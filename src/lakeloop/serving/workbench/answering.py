"""Requests to a model of the workbench, answered: the same for a registered version and for a script."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.serving.model import ServedModel, load, xgboost_version
from lakeloop.serving.rows import InvalidRequest, parse_request

ROW, PROOF_ROW, VERSION = "lakeloop_row", "lakeloop_proof_row", "version"


class Answering:
    """A loaded model folder."""

    def __init__(self, folder: Path) -> None:
        self.model: ServedModel = load(folder)
        self.model.warm_up()
        self._identity = self.model.identity.model_copy(update={"xgboost_version": xgboost_version()})

    def identity(self) -> dict[str, Any]:
        """Which model answers, the snapshots that it comes from, and the handle by which it was deployed."""
        return {
            "identity": self._identity.model_dump(mode="json"),
            "handle": self.model.identity.digest()[:20],
        }

    def records(self, columns: Sequence[str], data: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """One record a row: score, prediction id, model version, snapshot; or the identity.

        Raises:
            InvalidRequest: the rows are not what the model takes; names row and column.
        """
        if asks_who(columns, data):
            return [self.identity()]
        return self.scored(raw_rows(columns, data))

    def scored(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Records of raw rows."""
        parsed = parse_request(json.dumps({"rows": list(rows)}).encode(), self.model.encoding.source_columns)
        identity = self.model.identity
        return [
            {
                "score": score,
                "prediction_id": uuid.uuid4().hex,
                "model_version": identity.version,
                "snapshot_id": identity.to_snapshot_id,
            }
            for score in self.model.scores(parsed)
        ]


def asks_who(columns: Sequence[str], data: Sequence[Sequence[Any]]) -> bool:
    """Whether this is the question who answers."""
    return list(columns) in ([ROW], [PROOF_ROW]) and [list(row) for row in data] == [[VERSION]]


def raw_rows(columns: Sequence[str], data: Sequence[Sequence[Any]]) -> list[Mapping[str, Any]]:
    """Rows as JSON gives them.

    Raises:
        InvalidRequest: a cell that must be a row's JSON text is not.
    """
    if list(columns) in ([ROW], [PROOF_ROW]):
        return [_parsed(row[0]) for row in data]
    return [{name: _plain(value) for name, value in zip(columns, row, strict=True)} for row in data]


def _parsed(text: Any) -> Mapping[str, Any]:
    try:
        row = json.loads(text)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"{ROW} must be the JSON text of a row: {error}") from error
    if not isinstance(row, dict):
        raise InvalidRequest(f"{ROW} must be the JSON text of an object")
    return row


def _plain(value: Any) -> Any:
    """A cell as JSON has it: numpy's numbers as Python's, NaN as null."""
    item = value.item() if hasattr(value, "item") else value
    return None if isinstance(item, float) and not math.isfinite(item) else item
