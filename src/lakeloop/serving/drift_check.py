"""The champion's predictions against its training: read, summed up by windows, judged."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lakeloop import bootstrap
from lakeloop.domain.drift import DriftVerdict, Seen, Source, Window, compare, decided, spans
from lakeloop.domain.encoding import encode
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.feature_rows import LABEL_COLUMN, holdout_size
from lakeloop.domain.tracked import TrackedPrediction, window_metrics
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.prediction_metrics import PredictionMetrics
from lakeloop.serving.batch_champion import champion_of
from lakeloop.serving.model import ServedModel
from lakeloop.serving.rows import InvalidRequest
from lakeloop.settings import Settings

TRAINED_ROWS = 50_000
"""Rows of the training's newest range that are compared: every so manieth, so that they are of all its time."""
PREDICTED_ROWS = 200_000


@dataclass(frozen=True)
class DriftCheck:
    """One check.

    Args:
        settings: where.
        use_case: whose champion; `drift` says what counts.
        source: `workbench`: predictions tracked there are brought into the log first, and learn its truths.
        end_ms: windows that ended by then are looked at.
        tell: told of the progress.
    """

    settings: Settings
    use_case: UseCase
    source: Source
    end_ms: int
    tell: Callable[[str], None]

    def run(self) -> DriftVerdict:
        """The verdict; `unreachable`, with the reason, where the predictions cannot be read.

        Raises:
            UserError: there is no champion.
            LakeloopError: registry or training rows cannot be read.
        """
        policy = self.use_case.drift
        windows = spans(self.end_ms, policy)
        start, end = windows[0][0], windows[-1][1]
        facts: dict[str, Any] = {"model_name": self.use_case.name, "source": self.source}
        facts |= {"start_ms": start, "end_ms": end}
        try:
            brought_in, predictions = self._read(start, end)
        except LakeloopError as error:
            reason = f"the predictions cannot be read: {error}"
            return DriftVerdict(decision="unreachable", reasons=(reason,), **facts)
        with tempfile.TemporaryDirectory(prefix="lakeloop-") as folder:
            model, training = champion_of(
                bootstrap.model_registry(self.settings), self.use_case.name, Path(folder)
            )
        mine = [p for p in predictions if p.model_version == model.identity.version and not p.purpose]
        summed = tuple(
            Window(
                start_ms=first,
                end_ms=last,
                metrics=window_metrics([p for p in mine if first <= p.at_ms < last]),
            )
            for first, last in windows
        )
        self._record(summed)
        facts |= {"model_version": model.identity.version, "snapshot_id": model.identity.to_snapshot_id}
        facts |= {"predictions": len(mine), "brought_in": brought_in, "windows": summed}
        facts |= {"of_other_versions": sum(not p.purpose for p in predictions) - len(mine)}
        if len(mine) < policy.min_predictions:
            return DriftVerdict(**facts, **decided([], len(mine), policy))
        self.tell(f"comparing {len(mine)} predictions of version {model.identity.version} with its training")
        trained, served = self._trained(model, training), _served(model, mine)
        compared = compare(trained, served, model.encoding, policy)
        facts |= {"comparisons": tuple(compared), "trained_rows": len(trained.matrix)}
        facts |= {"truths": len(served.outcomes)}
        return DriftVerdict(**facts, **decided(compared, len(mine), policy))

    def _read(self, start: int, end: int) -> tuple[int, tuple[TrackedPrediction, ...]]:
        log = bootstrap.logged_predictions(self.settings, self.use_case)
        if self.source == "log":
            return 0, log.read(start, end)
        workbench = self._workbench()
        self.tell("reading the workbench's model metrics")
        tracked = workbench.read(start, end)
        new = log.keep(tracked)
        self.tell(f"{len(tracked)} predictions tracked, {new} new to the prediction log")
        if not tracked:
            return 0, ()
        known = {p.prediction_id for p in log.read(start, end) if p.truth is not None}
        # What was told here goes before what the workbench has from an earlier time.
        fresh = {p.prediction_id: p.truth for p in tracked if p.truth is not None}
        log.tell_truths({id_: truth for id_, truth in fresh.items() if id_ not in known}, start, end)
        logged = log.read(start, end)
        told = {p.prediction_id: p.truth for p in logged if p.truth is not None}
        workbench.tell_truths(told, start, end)
        return new, logged

    def _record(self, windows: Sequence[Window]) -> None:
        kept: list[PredictionMetrics] = [bootstrap.logged_predictions(self.settings, self.use_case)]
        if self.source == "workbench":
            kept.append(self._workbench())
        for place in kept:
            place.record_windows(windows)

    def _workbench(self) -> PredictionMetrics:
        return bootstrap.workbench_predictions(self.use_case, self.tell)

    def _trained(self, model: ServedModel, training: TrainedModel) -> Seen:
        """A sample of the newest range that the model was trained on; scores and outcomes of its holdout."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows, table = training.lineage.training_set, self.use_case.table
        every = max(1, rows.newest_rows // TRAINED_ROWS)
        columns = list(dict.fromkeys([table.event_time, LABEL_COLUMN, *model.encoding.names]))
        parts, seen = [], 0
        for batch in bootstrap.lake(self.settings).read_batches(
            rows.feature_table, rows.feature_snapshot_id, columns, [rows.newest_range_id]
        ):
            places = np.arange(-seen % every, batch.num_rows, every)
            seen += batch.num_rows
            parts.append(pa.Table.from_batches([batch]).take(pa.array(places)))
        sample = pa.concat_tables(parts)
        order = pc.sort_indices(sample, sort_keys=[(table.event_time, "ascending")])
        sample = sample.take(order)
        matrix = encode(sample, model.encoding)
        held = slice(len(matrix) - holdout_size(len(matrix), self.use_case.train.holdout.fraction), None)
        scores = np.array(model.predict(matrix[held])) if len(matrix[held]) else np.empty(0)
        labels = sample.column(LABEL_COLUMN).to_numpy().astype(np.float64)[held]
        return Seen(matrix, scores, labels, scores)


def _served(model: ServedModel, predictions: Sequence[TrackedPrediction]) -> Seen:
    every = max(1, len(predictions) // PREDICTED_ROWS)
    sample = [p for p in predictions[::every] if p.row]
    try:
        parts = [
            model.matrix([json.loads(p.row) for p in sample[at : at + 10_000]])
            for at in range(0, len(sample), 10_000)
        ]
    except (InvalidRequest, ValueError) as error:
        raise LakeloopError(
            f"the inputs of a prediction are not the model's: {error}",
            where=f"predictions of version {model.identity.version}",
        ) from error
    matrix = np.concatenate(parts) if parts else np.empty((0, len(model.encoding.features)), np.float32)
    known = [(float(p.truth), p.score) for p in predictions if p.truth is not None]
    outcomes = np.array([truth for truth, _ in known], np.float64)
    scored = np.array([score for _, score in known], np.float64)
    return Seen(matrix, np.array([p.score for p in predictions], np.float64), outcomes, scored)
