"""Normal scores -> values: each distribution by its quantile function, so a shifted score is drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from lakeloop.domain.synthetic import (
    Beta,
    Choice,
    DrawnColumn,
    Exponential,
    Integer,
    Lognormal,
    Normal,
    Uniform,
)
from lakeloop.generation.beta_quantile import beta_quantiles
from lakeloop.generation.streams import Floats

_BELOW_ONE = 1.0 - 2.0**-53


def probability(scores: Floats) -> Floats:
    """The normal distribution function, kept below 1."""
    return np.asarray(np.minimum(special.ndtr(scores), _BELOW_ONE))


def quantiles(column: DrawnColumn, scores: Floats) -> npt.NDArray[Any]:
    """The column's values at the given normal scores, clipped and rounded as declared; shape as `scores`."""
    values = _QUANTILES[type(column)](column, scores)
    if isinstance(column, Integer | Choice):
        return values
    if column.min is not None or column.max is not None:
        values = np.clip(values, column.min, column.max)
    return values if column.round is None else np.round(values, column.round)


def _normal(column: Normal, scores: Floats) -> Floats:
    return column.mean + column.std * scores


def _lognormal(column: Lognormal, scores: Floats) -> Floats:
    return column.median * np.exp(column.sigma * scores)


def _uniform(column: Uniform, scores: Floats) -> Floats:
    return column.low + (column.high - column.low) * probability(scores)


def _exponential(column: Exponential, scores: Floats) -> Floats:
    return -column.mean * np.log1p(-probability(scores))


def _beta(column: Beta, scores: Floats) -> Floats:
    return column.low + (column.high - column.low) * beta_quantiles(column.a, column.b, scores)


def _integer(column: Integer, scores: Floats) -> npt.NDArray[np.int64]:
    width = column.high - column.low + 1
    return column.low + np.floor(probability(scores) * width).astype(np.int64)


def _choice(column: Choice, scores: Floats) -> npt.NDArray[Any]:
    weights = np.asarray(column.weights or [1.0] * len(column.values))
    upper = np.cumsum(weights / weights.sum())[:-1]
    return np.asarray(column.values)[np.searchsorted(upper, probability(scores), side="right")]


_QUANTILES: dict[type, Callable[[Any, Floats], npt.NDArray[Any]]] = {
    Normal: _normal,
    Lognormal: _lognormal,
    Uniform: _uniform,
    Exponential: _exponential,
    Beta: _beta,
    Integer: _integer,
    Choice: _choice,
}
