"""What a trainer hands back, whichever engine it is, and what no engine trains on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.rows_digest import RowsDigest

if TYPE_CHECKING:
    import pyarrow as pa

MIN_TRAIN_ROWS = 20
EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Champion:
    """What warm start continues; `booster` is XGBoost's UBJSON."""

    version: str
    booster: bytes
    encoding: FeatureEncoding


@dataclass(frozen=True)
class TrainedBooster:
    """A training's outcome, before anything is logged.

    `booster` is XGBoost's UBJSON, cut to `rounds` trees a class; `history` has a value a round and data set;
    `example` holds a few training rows as the feature table has them; `notes` become run parameters; `data`
    identifies the rows by part (`train`, `holdout`), where the engine can tell.
    """

    booster: bytes
    encoding: FeatureEncoding
    rounds: int
    train_rows: int
    holdout_rows: int
    holdout_start: str
    metrics: dict[str, float]
    history: dict[str, tuple[float, ...]]
    example: pa.Table
    seconds: float
    notes: dict[str, str] = field(default_factory=dict)
    continued_version: str | None = None
    data: dict[str, RowsDigest] = field(default_factory=dict)


def refuse_hopeless(rows: int, label_counts: Mapping[float, int]) -> None:
    """Training rows that no model can be made of.

    Args:
        rows: training rows, the holdout excepted.
        label_counts: label value -> rows.

    Raises:
        UserError: too few rows, a label other than 0 and 1, or one class only.
    """
    if rows < MIN_TRAIN_ROWS:
        raise UserError(
            f"{rows} rows to train on; at least {MIN_TRAIN_ROWS} are needed",
            where="training set",
            fix="wait for more rows, set snapshots.min_rows, or choose a window with more history",
        )
    strange = [label for label in label_counts if label not in {0.0, 1.0}]
    if strange:
        raise UserError(
            f"label {strange[0]} is neither 0 nor 1", where="training set", fix="set label.positive"
        )
    if len(label_counts) == 1:
        raise UserError(
            f"all {rows} training rows have label {int(next(iter(label_counts)))}: one class only",
            where="training set",
            fix="check label.column and label.positive, or choose a window with more history",
        )
