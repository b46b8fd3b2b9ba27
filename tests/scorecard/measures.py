"""How good what serves is, on rows that nobody trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lakeloop.domain.metrics import Scored, paired_bootstrap
from lakeloop.domain.verdict import Interval
from tests.scorecard.pumps import FEATURES

Labels = np.ndarray[tuple[int], np.dtype[Any]]


def features(rows: pa.Table) -> list[list[float]]:
    """As the labs' callers send them."""
    return [[row[name] for name in FEATURES] for row in rows.select(list(FEATURES)).to_pylist()]


def labels(rows: pa.Table) -> Labels:
    found: Labels = rows.column("failed").to_numpy()
    return found


def log_loss(rows: pa.Table, scores: Sequence[float]) -> float:
    return Scored(labels(rows), np.asarray(scores)).value("log_loss")


def auc(rows: pa.Table, scores: Sequence[float], site: str = "") -> float:
    """Area under the ROC curve, of one site's rows where one is named."""
    chosen = np.array([not site or value == site for value in rows.column("site").to_pylist()])
    return Scored(labels(rows)[chosen], np.asarray(scores)[chosen]).value("roc_auc")


def auc_gain(rows: pa.Table, now: Sequence[float], before: Sequence[float]) -> Interval:
    """By how much the area grew, with its 95 % interval."""
    spread = paired_bootstrap(
        labels(rows), np.asarray(now), np.asarray(before), samples=300, confidence=0.95, seed=1
    )
    return spread.difference["roc_auc"]
