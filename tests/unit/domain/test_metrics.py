import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.domain.metrics import (
    MAX_CURVE_POINTS,
    METRICS,
    Scored,
    calibration_curve,
    expected_calibration_error,
    paired_bootstrap,
    precision_recall_curve,
    roc_curve,
    score_histogram,
)

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 2**31))
def test_every_metric_is_scikit_learns_with_ties_and_weights(rows: list[tuple[bool, int]], seed: int) -> None:
    from sklearn import metrics as sk

    labels = np.array([label for label, _ in rows], float)
    scores = np.array([score for _, score in rows]) / 8
    drawn = np.random.default_rng(seed).integers(0, 3, len(rows)).astype(float)
    drawn[[int(np.argmax(labels)), int(np.argmin(labels))]] += 1
    expected = {
        "roc_auc": sk.roc_auc_score,
        "pr_auc": sk.average_precision_score,
        "log_loss": lambda y, s, sample_weight: sk.log_loss(y, s, sample_weight=sample_weight, labels=[0, 1]),
        "brier": sk.brier_score_loss,
    }
    for weights in (np.ones(len(rows)), drawn):
        for metric in METRICS:
            found = Scored(labels, scores).value(metric, weights)
            assert found == pytest.approx(
                expected[metric](labels, scores, sample_weight=weights), rel=1e-12, abs=1e-12
            )


def test_curves_are_scikit_learns_and_short() -> None:
    from sklearn import metrics as sk

    rng = np.random.default_rng(1)
    labels = (rng.random(5_000) < 0.3).astype(float)
    scores = np.round(np.clip(rng.normal(0.3 + 0.2 * labels, 0.2), 0, 1), 3)
    roc = roc_curve(labels, scores)
    assert len(roc.x) <= MAX_CURVE_POINTS
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    false_rate, true_rate, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    expected = set(zip(np.round(false_rate, 6), np.round(true_rate, 6), strict=True))
    assert set(zip(roc.x, roc.y, strict=True)) <= expected
    recall = precision_recall_curve(labels, scores)
    assert len(recall.x) <= MAX_CURVE_POINTS
    assert recall.y[-1] == pytest.approx(labels.mean(), abs=1e-6)
    assert sum(score_histogram(scores).y) == pytest.approx(1, abs=1e-4)


def test_calibration_error_of_a_calibrated_and_of_a_biased_model() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(200_000)
    labels = (rng.random(200_000) < truth).astype(float)
    assert expected_calibration_error(labels, truth) < 0.01
    assert expected_calibration_error(labels, np.clip(truth + 0.2, 0, 1)) == pytest.approx(0.18, abs=0.02)
    curve = calibration_curve(labels, truth)
    np.testing.assert_allclose(curve.x, curve.y, atol=0.02)
    assert expected_calibration_error([1.0], [1.0]) == 0


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    rng = np.random.default_rng(3)
    labels, scores = (rng.random(500) < 0.2).astype(float), rng.random(500)
    spread = paired_bootstrap(labels, scores, scores, samples=100, confidence=0.95, seed=1)
    for metric in METRICS:
        assert (spread.difference[metric].low, spread.difference[metric].high) == (0, 0)
        assert spread.probability_better[metric] == 0.5


def test_swapping_the_models_flips_the_sign() -> None:
    rng = np.random.default_rng(4)
    labels = (rng.random(800) < 0.3).astype(float)
    good, bad = np.clip(rng.normal(0.3 + 0.3 * labels, 0.2), 0, 1), rng.random(800)
    one = paired_bootstrap(labels, good, bad, samples=200, confidence=0.9, seed=5)
    other = paired_bootstrap(labels, bad, good, samples=200, confidence=0.9, seed=5)
    for metric in METRICS:
        assert one.difference[metric].low > 0
        assert one.difference[metric].low == pytest.approx(-other.difference[metric].high, abs=1e-12)
        assert one.difference[metric].value == pytest.approx(-other.difference[metric].value, abs=1e-12)
    assert one == paired_bootstrap(labels, good, bad, samples=200, confidence=0.9, seed=5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels = np.repeat([0.0, 1.0], 100)
        scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
        # Two normals one standard deviation apart: AUC = Phi(1 / sqrt(2)) = 0.7602.
        interval = paired_bootstrap(labels, scores, None, samples=200, confidence=0.9, seed=seed).challenger[
            "roc_auc"
        ]
        covered += interval.low <= 0.7602 <= interval.high
    assert 80 <= covered <= 98
