"""Drift: what is said of samples of one distribution, of others, of too few, and which windows are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.drift import (
    Comparison,
    Seen,
    Window,
    by_chance,
    changed_windows,
    compare,
    decided,
    psi,
    source_of,
    spans,
)
from lakeloop.domain.drift_policy import DriftPolicy
from lakeloop.domain.errors import UserError
from lakeloop.domain.features import EncodedFeature, FeatureEncoding

ENCODING = FeatureEncoding(
    features=(
        EncodedFeature(name="amount", type="numeric", column="amount"),
        EncodedFeature(name="kind", type="categorical", column="kind", categories=("a", "b", "c")),
    )
)
POLICY = DriftPolicy(min_predictions=500, min_truths=100)


def seen(  # noqa: PLR0913 - each its own way of being other rows
    seed: int, rows: int, *, mean: float = 0.0, missing: float = 0.0, rate: float = 0.3, known: int = 0
) -> Seen:
    rng = np.random.default_rng(seed)
    amount = rng.normal(mean, 1, rows)
    amount[rng.random(rows) < missing] = np.nan
    scores = rng.beta(2, 5, rows)
    outcomes = (rng.random(known) < rate).astype(float)
    return Seen(np.stack([amount, rng.integers(0, 3, rows)], axis=1), scores, outcomes, np.full(known, 0.3))


def judged(served: Seen, policy: DriftPolicy = POLICY) -> tuple[str, list[str]]:
    compared = compare(seen(1, 5000, known=1000), served, ENCODING, policy)
    told = decided(compared, len(served.scores), policy)
    return told["decision"], [c.name for c in compared if c.passed is False]


@pytest.mark.parametrize("seed", range(2, 12))
def test_samples_of_one_distribution_are_steady(seed: int) -> None:
    assert judged(seen(seed, 600, known=150)) == ("steady", [])


def test_what_moved_is_named() -> None:
    assert judged(seen(2, 2000, mean=1.0)) == ("drifted", ["feature amount"])
    assert judged(seen(2, 2000, missing=0.3)) == ("drifted", ["feature amount"])
    assert judged(seen(2, 2000, rate=0.6, known=500)) == ("drifted", ["positive_rate", "brier"])


def test_a_category_that_vanished_or_was_never_seen_is_drift() -> None:
    served = seen(2, 2000)
    only_one = Seen(served.matrix * [1, 0], served.scores, served.outcomes, served.outcome_scores)
    assert judged(only_one) == ("drifted", ["feature kind"])
    unknown = Seen(served.matrix * [1, np.nan], served.scores, served.outcomes, served.outcome_scores)
    assert judged(unknown) == ("drifted", ["feature kind"])


def test_with_too_few_rows_or_outcomes_nothing_is_said_about_them() -> None:
    few = compare(seen(1, 5000, known=1000), seen(2, 499, mean=9, known=99, rate=1.0), ENCODING, POLICY)
    assert {c.passed for c in few} == {None}
    told = decided(few, 499, POLICY)
    assert told["decision"] == "too_few"
    assert "499 predictions, 500 are needed" in told["reasons"][0]


def test_reasons_say_what_is_off_most_first() -> None:
    compared = [
        Comparison(name="feature a", passed=False, observed=0.5, limit=0.3),
        Comparison(name="positive_rate", passed=False, observed=0.9, trained=0.2, limit=0.1),
        Comparison(name="score", passed=True, observed=0.0, limit=0.2),
    ]
    assert decided(compared, 1000, POLICY)["reasons"] == (
        "positive_rate: 0.9, in training 0.2; +0.7, allowed 0.1",
        "feature a: stability index 0.5, allowed 0.3",
    )


def test_chance_alone_stays_below_its_bound() -> None:
    rng, over = np.random.default_rng(3), 0
    for _ in range(400):
        first, second = (np.bincount(rng.integers(0, 11, n), minlength=11) + 0.5 for n in (1000, 500))
        over += psi(first / first.sum(), second / second.sum()) > by_chance(11, 1000, 500, 0.01)
    assert over < 16


@given(st.integers(0, 2**41), st.integers(1, 24 * 31), st.integers(1, 400))
def test_windows_are_whole_and_adjoin_and_ended(end_ms: int, hours: int, count: int) -> None:
    found = spans(end_ms, DriftPolicy(window_hours=hours, windows=count))
    assert len(found) == count
    assert all(end - start == hours * 3_600_000 and start % (hours * 3_600_000) == 0 for start, end in found)
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    assert found[-1][1] <= end_ms < found[-1][1] + hours * 3_600_000


def test_only_windows_with_news_are_recorded() -> None:
    windows = [Window(start_ms=n, end_ms=n + 1, metrics={"predictions": float(n)}) for n in range(3)]
    assert changed_windows(windows, {}) == windows[1:]
    assert (
        changed_windows(windows, {(1, 2): {"predictions": 1.0}, (2, 3): {"predictions": 1.0}}) == windows[2:]
    )


def test_a_source_is_one_of_three_words() -> None:
    assert [source_of("auto", tracks=tracks) for tracks in (True, False)] == ["workbench", "log"]
    assert source_of("log", tracks=True) == "log"
    with pytest.raises(UserError, match="'logs' is no source"):
        source_of("logs", tracks=True)
