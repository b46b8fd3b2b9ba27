"""lakeloop's own prediction log as PredictionMetrics: tables that grow by pieces, each piece once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakeloop.domain.base import sha256_hex
from lakeloop.domain.drift import Window, changed_windows
from lakeloop.domain.errors import ConflictError, UserError
from lakeloop.domain.prediction_table import (
    PIECE_COLUMN,
    schema,
    table_name,
    truths_schema,
    truths_table,
    windows_schema,
    windows_table,
)
from lakeloop.domain.tracked import TrackedPrediction
from lakeloop.ports.row_log import Between, RowLog

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_COMMIT = 20_000
ATTEMPTS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READ = ("prediction_id", "predicted_at", "model_version", "model_digest", "snapshot_id", "score", "decision")


class LoggedPredictionMetrics:
    """Of one model's prediction log."""

    def __init__(self, log: RowLog, model_name: str) -> None:
        self._log, self._name = log, model_name

    def read(self, start_ms: int, end_ms: int) -> tuple[TrackedPrediction, ...]:
        """Logged predictions with what came true.

        Raises:
            UserError: there is no prediction log.
            LakeloopError: the catalog or storage does not answer.
        """
        rows = self._rows((*_READ, "inputs", "purpose"), start_ms, end_ms)
        truths = {id_: truth for id_, (truth, _) in self._truths().items()}
        found = [_prediction(row, truths) for row in rows.to_pylist()]
        return tuple(sorted(found, key=lambda p: (p.at_ms, p.prediction_id)))

    def keep(self, predictions: Sequence[TrackedPrediction]) -> int:
        """Bring in what a platform tracked, each prediction once by its id; how many were new.

        Raises:
            ConflictError: other writers were faster too many times; what is kept stays.
            LakeloopError: the catalog does not answer.
        """
        import pyarrow as pa

        new, by_id = 0, {p.prediction_id: p for p in predictions}
        rows = [self._row(p) for p in by_id.values()]
        for start in range(0, len(rows), ROWS_A_COMMIT):
            part = pa.Table.from_pylist(rows[start : start + ROWS_A_COMMIT], schema=schema())
            new += len(self._log.append(table_name(self._name), part))
        return new

    def tell_truths(self, truths: Mapping[str, bool], start_ms: int, end_ms: int) -> int:
        """What came true of predictions of that span; how many were not known so before.

        Raises:
            UserError: there is no prediction log.
            ConflictError: others told of the same predictions too many times.
        """
        logged = set(self._rows(("prediction_id",), start_ms, end_ms).column(0).to_pylist())
        wanted, told = {id_: truth for id_, truth in truths.items() if id_ in logged}, 0
        for _ in range(ATTEMPTS):
            known = self._truths()
            new = {id_: t for id_, t in wanted.items() if known.get(id_, (None, 0))[0] != t}
            if not new:
                return told
            told += self._append_truths(new, known)
        raise ConflictError(
            "others tell of the same predictions", where=truths_table(self._name), fix="try again"
        )

    def known(self, ids: Collection[str]) -> int:
        """How many of these predictions are in the log.

        Raises:
            UserError: there is no prediction log.
        """
        rows = self._log.rows(table_name(self._name), ("prediction_id",))
        return 0 if rows is None else len(set(ids) & set(rows.column(0).to_pylist()))

    def record_windows(self, windows: Sequence[Window]) -> int:
        """What spans say; how many were new.

        Raises:
            LakeloopError: the catalog does not answer.
        """
        import pyarrow as pa

        new = changed_windows(windows, self._windows())
        if not new:
            return 0
        rows = [_window_row(window) for window in new]
        return len(
            self._log.append(windows_table(self._name), pa.Table.from_pylist(rows, schema=windows_schema()))
        )

    def _rows(self, columns: Sequence[str], start_ms: int, end_ms: int) -> pa.Table:
        between = Between("predicted_at", _moment(start_ms), _moment(end_ms))
        rows = self._log.rows(table_name(self._name), columns, between)
        if rows is None:
            raise UserError(
                "there is no prediction log",
                where=table_name(self._name),
                fix="serve with a prediction log (docs/serving.md), or in a workbench with deployment.cai.metrics",
            )
        return rows

    def _truths(self) -> dict[str, tuple[bool, int]]:
        """The last word about each prediction, and the how manieth it was."""
        rows = self._log.rows(truths_table(self._name), ("prediction_id", "truth", "telling"))
        told = [] if rows is None else sorted(rows.to_pylist(), key=lambda row: row["telling"])
        return {row["prediction_id"]: (row["truth"], row["telling"]) for row in told}

    def _append_truths(self, new: Mapping[str, bool], known: Mapping[str, tuple[bool, int]]) -> int:
        import pyarrow as pa

        now, rows = datetime.now(tz=UTC), []
        for id_, truth in new.items():
            telling = known.get(id_, (False, 0))[1] + 1
            # Who tells at the same time makes the same piece: one of the two is held, the other looks again.
            rows.append(
                {
                    "prediction_id": id_,
                    "truth": truth,
                    "told_at": now,
                    "telling": telling,
                    PIECE_COLUMN: f"{id_}-{telling}",
                }
            )
        table = pa.Table.from_pylist(rows, schema=truths_schema())
        return len(self._log.append(truths_table(self._name), table))

    def _windows(self) -> dict[tuple[int, int], dict[str, float]]:
        rows: pa.Table | None = self._log.rows(windows_table(self._name))
        told = [] if rows is None else sorted(rows.to_pylist(), key=lambda row: row["told_at"])
        return {
            (_milliseconds(row["window_start"]), _milliseconds(row["window_end"])): json.loads(row["metrics"])
            for row in told
        }

    def _row(self, prediction: TrackedPrediction) -> dict[str, Any]:
        return {
            "prediction_id": prediction.prediction_id,
            "predicted_at": _moment(prediction.at_ms),
            "model_name": self._name,
            "model_version": prediction.model_version,
            "model_digest": prediction.model_digest,
            "snapshot_id": prediction.snapshot_id,
            "score": prediction.score,
            "decision": prediction.decision,
            "inputs": prediction.row or None,
            "purpose": prediction.purpose or None,
            PIECE_COLUMN: prediction.prediction_id,
        }


def _prediction(row: Mapping[str, Any], truths: Mapping[str, bool]) -> TrackedPrediction:
    return TrackedPrediction(
        prediction_id=row["prediction_id"],
        request_id=row["prediction_id"],
        at_ms=_milliseconds(row["predicted_at"]),
        score=row["score"],
        model_version=row["model_version"],
        model_digest=row["model_digest"] or "",
        snapshot_id=row["snapshot_id"],
        decision=row["decision"],
        purpose=row["purpose"] or "",
        row=row["inputs"] or "",
        truth=truths.get(row["prediction_id"]),
    )


def _window_row(window: Window) -> dict[str, Any]:
    metrics = json.dumps(window.metrics, sort_keys=True)
    return {
        "window_start": _moment(window.start_ms),
        "window_end": _moment(window.end_ms),
        "metrics": metrics,
        "told_at": datetime.now(tz=UTC),
        PIECE_COLUMN: f"{window.start_ms}-{window.end_ms}-{sha256_hex(metrics)[:12]}",
    }


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
