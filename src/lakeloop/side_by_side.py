"""Two models on the same held-out rows, whatever each of them knows of the other's features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.feature_rows import SLICE_PREFIX, FeatureRows, Floats, Indices, RowLayout
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import Table, UseCase
from lakeloop.ports.lake import Lake
from lakeloop.training import earlier_model, scoring
from lakeloop.training.holdout import read_holdout
from lakeloop.training.model_folder import Model

Scores = np.ndarray[tuple[int], np.dtype[Any]]
ToFeatures = Callable[[pa.Table, FeatureEncoding], pa.Table]


@dataclass(frozen=True)
class HeldOut:
    """Rows of the newest range, which of them are held out in their total order, and all of its labels."""

    rows: FeatureRows
    holdout: Indices
    labels: Floats


def held_out(lake: Lake, use_case: UseCase, trained: TrainedModel) -> HeldOut:
    """The rows that a training kept from its model.

    Args:
        lake: of the feature table.
        use_case: as it was trained.
        trained: the training.

    Raises:
        LakeloopError: they are not there any more, or not as many as were held out.
    """
    training_set, table = trained.lineage.training_set, use_case.table
    state = lake.table_state(training_set.feature_table)
    present = {column.name for column in state.columns} if state else set()
    slices = [SLICE_PREFIX + gate.column for gate in use_case.gate.slices]
    extra = tuple(dict.fromkeys(name for name in slices if name in present))
    layout = RowLayout(table.order, use_case.features, extra)

    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        return lake.read_batches(
            training_set.feature_table,
            training_set.feature_snapshot_id,
            columns=columns,
            range_ids=[training_set.newest_range_id],
        )

    fraction = use_case.train.holdout.fraction
    rows, holdout, labels = read_holdout(read, layout, training_set.newest_rows, fraction)
    if len(holdout) != trained.holdout_rows:
        raise LakeloopError(
            f"{len(holdout)} holdout rows, the training held out {trained.holdout_rows}",
            where=training_set.feature_table,
            fix="train again: the holdout must be the rows that were kept from the model",
        )
    return HeldOut(rows, holdout, labels)


@dataclass(frozen=True)
class SameRows:
    """Another model's scores of the rows that a training held out.

    Args:
        lake: of the source table, for what the feature rows do not tell.
        table: the use case's.
        trained: the training whose rows these are,
        held: the rows,
        encoding: and how their features were made.
    """

    lake: Lake
    table: Table
    trained: TrainedModel
    held: HeldOut
    encoding: FeatureEncoding

    def scores(self, other: Model, to_features: ToFeatures) -> Scores:
        """Probabilities [held-out rows]; by its own expressions where features have been redefined since.

        Raises:
            LakeloopError: a column that it needs is gone, or the rows are not in the source once.
        """
        rows, holdout = self.held.rows, self.held.holdout
        if earlier_model.same_definitions(other.encoding, self.encoding):
            return scoring.scores(other.booster, other.encoding, rows.encoder(other.encoding), holdout)
        matrix = earlier_model.raw_encoder(to_features, self._raw(other.encoding), other.encoding)
        return scoring.scores(other.booster, other.encoding, matrix, np.arange(len(holdout)))

    def _raw(self, encoding: FeatureEncoding) -> pa.Table:
        range_, order = self.trained.lineage.training_set.range, list(self.table.order)
        rows, holdout = self.held.rows, self.held.holdout
        state = self.lake.table_state(range_.table)
        missing = earlier_model.missing_columns(encoding, [c.name for c in state.columns] if state else [])
        if missing:
            raise LakeloopError(
                f"its columns {', '.join(missing)} are not in the table any more",
                where=range_.table,
                fix="roll back, or retire the champion",
            )
        keys = rows.order_columns.take(holdout)
        source = self.lake.read_batches(
            range_.table,
            range_.to_snapshot_id,
            columns=list(dict.fromkeys([*order, *encoding.raw_columns])),
            where={c: keys.column(c).unique().to_pylist() for c in order if not keys.column(c).null_count},
        )
        raw = earlier_model.raw_rows(rows, holdout, order, source)
        return earlier_model.with_past(raw, rows.feature_table(holdout), encoding, self.encoding)
