"""The table of beta quantiles stands for the exact function."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from lakeloop.generation.beta_quantile import beta_quantiles

SHAPES = [(2.0, 2.0), (2.5, 2.5), (0.5, 5.0), (30.0, 0.6), (500.0, 300.0), (0.1, 0.2)]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_the_table_agrees_with_the_exact_function_everywhere(a: float, b: float) -> None:
    scores = np.concatenate([np.linspace(-9, 9, 20_001), np.random.default_rng(7).standard_normal(20_000)])
    exact = stats.beta.ppf(np.minimum(special.ndtr(scores), 1 - 2.0**-53), a, b)
    found = beta_quantiles(a, b, scores)
    assert np.abs(found - exact).max() < 1e-11
    assert found.min() >= 0.0
    assert found.max() <= 1.0


def test_a_value_does_not_depend_on_the_rows_around_it() -> None:
    scores = np.random.default_rng(3).standard_normal(1000) * 3
    whole = beta_quantiles(2.0, 3.0, scores)
    pieces = np.concatenate([beta_quantiles(2.0, 3.0, piece) for piece in np.split(scores, [1, 17, 400])])
    assert np.array_equal(whole, pieces)
