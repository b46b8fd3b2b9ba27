"""The gate: when a challenger may replace the champion."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluate_model.core import ChampionScores, Holdout, confirmed, label_rate_checks, verdict
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_rows import FeatureRows
from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.domain.use_case import Bounds, Gate
from lakeloop.domain.verdict import Check, Verdict
from lakeloop.training import earlier_model as champions
from lakeloop.training.curves import evaluation

Scores = np.ndarray[Any, Any]


def holdout(rows: int = 2_000, seed: int = 0) -> Scores:
    return (np.random.default_rng(seed).random(rows) < 0.3).astype(np.float32)


def model(labels: Scores, skill: float, seed: int = 1) -> Scores:
    noise = np.random.default_rng(seed).normal(size=len(labels))
    return (1 / (1 + np.exp(-(skill * (labels - 0.3) + noise - 1)))).astype(np.float32)


def judge(labels: Scores, challenger: Scores, champion: Scores | None = None, **gate: Any) -> Verdict:
    policy = Gate.model_validate({"bootstrap_samples": 200, **gate})
    other = None if champion is None else ChampionScores("3", champion)
    return verdict(policy, Holdout(labels), challenger, other, seed=1)


def failed(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from(["roc_auc", "pr_auc", "log_loss", "brier"]))
def test_an_identical_model_is_never_promoted_under_superiority(seed: int, metric: str) -> None:
    labels = holdout(600, seed)
    scores = model(labels, 1.0, seed)
    found = judge(labels, scores, scores.copy(), metric=metric)
    assert found.decision == "reject"
    assert failed(found) == ["improvement"]


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "log_loss", "brier"])
def test_a_clearly_better_model_is_promoted_and_the_reverse_is_not(metric: str) -> None:
    labels = holdout()
    good, bad = model(labels, 2.0), model(labels, 0.3, seed=2)
    found = judge(labels, good, bad, metric=metric)
    assert found.decision == "promote"
    assert found.difference is not None
    assert found.difference.low > 0
    assert found.champion_version == "3"
    assert "champion v3" in found.reasons[0]
    back = judge(labels, bad, good, metric=metric)
    assert back.decision == "reject"
    assert back.difference is not None
    assert back.difference.value == pytest.approx(-found.difference.value, abs=1e-12)
    assert back.difference.low == pytest.approx(-found.difference.high, abs=1e-12)


def test_thirty_rows_are_insufficient_evidence_whatever_they_say() -> None:
    labels = np.tile([0.0, 1.0], 15)
    for champion in (None, 1 - labels):
        found = judge(labels, labels * 0.8 + 0.1, champion)
        assert found.decision == "reject"
        assert found.reasons[0].startswith("insufficient evidence: 30 holdout rows, required at least 500")
    few = np.zeros(2_000)
    few[:9] = 1
    assert failed(judge(few, few * 0.5)) == ["evidence(positives)"]


def test_the_first_model_is_an_explicit_bootstrap_with_a_floor() -> None:
    labels = holdout()
    found = judge(labels, model(labels, 2.0), floor=0.6)
    assert (found.decision, found.bootstrap, found.difference) == ("promote", True, None)
    assert found.reasons[0].startswith("first model")
    assert failed(judge(labels, model(labels, 0.0), floor=0.6)) == ["floor"]
    assert failed(judge(labels, model(labels, 0.0), metric="log_loss", floor=0.1)) == ["floor"]


def test_non_inferiority_admits_an_equal_model_and_no_worse_one() -> None:
    labels = holdout()
    scores = model(labels, 1.0)
    assert judge(labels, scores, scores.copy(), max_loss=0.01).decision == "promote"
    assert failed(judge(labels, model(labels, 0.2, 5), scores, max_loss=0.01)) == ["non-inferiority"]


def test_an_improvement_smaller_than_asked_for_is_rejected() -> None:
    labels = holdout(20_000)
    good, less = model(labels, 1.1), model(labels, 1.0)
    assert judge(labels, good, less).decision == "promote"
    assert failed(judge(labels, good, less, min_effect=0.2)) == ["improvement"]


def test_miscalibration_is_rejected_though_the_ranking_is_right() -> None:
    labels = holdout()
    scores = model(labels, 2.0) * 0.05
    assert judge(labels, scores).decision == "promote"
    assert failed(judge(labels, scores, max_calibration_error=0.1)) == ["calibration"]


def test_a_segment_that_gets_worse_is_rejected_though_the_whole_gets_better() -> None:
    labels = holdout(4_000)
    region = np.array(["south"] * 3_000 + [None] * 1_000, dtype=object)
    before = model(labels, 1.0)
    after = model(labels, 2.5)
    after[3_000:] = model(labels, 0.0, seed=9)[3_000:]
    policy = Gate.model_validate({"bootstrap_samples": 200, "slices": [{"column": "region"}]})
    whole = ChampionScores("3", before)
    found = verdict(policy, Holdout(labels, {"region": region}), after, whole, 1)
    assert (found.decision, failed(found)) == ("reject", ["slice(region=null)"])
    assert failed(verdict(policy, Holdout(labels), after, whole, 1)) == ["slice(region)"]
    tiny = np.array(["x"] * 3_990 + ["tiny"] * 10, dtype=object)
    names = [c.name for c in verdict(policy, Holdout(labels, {"region": tiny}), after, whole, 1).checks]
    assert "slice(region=tiny)" not in names
    assert "slice(region=x)" in names


@pytest.mark.parametrize("poison", [np.nan, np.inf, -0.1, 1.1])
def test_one_score_that_is_no_probability_rejects(poison: float) -> None:
    labels = holdout()
    good, bad = model(labels, 2.0), model(labels, 0.1)
    spoilt = good.copy()
    spoilt[7] = poison
    found = judge(labels, spoilt, bad)
    assert (found.decision, failed(found)) == ("reject", ["challenger scores"])
    assert found.challenger is None
    spoilt = bad.copy()
    spoilt[7] = poison
    assert failed(judge(labels, good, spoilt)) == ["champion scores"]
    assert failed(judge(labels, good[:-1], bad)) == ["challenger scores"]


def test_a_champion_that_cannot_be_scored_rejects_with_its_reason() -> None:
    labels = holdout()
    champion = ChampionScores("3", problem="its columns age are not in the table any more")
    found = verdict(Gate(bootstrap_samples=200), Holdout(labels), model(labels, 2.0), champion, 1)
    assert found.decision == "reject"
    assert "its columns age are not in the table any more" in found.reasons[0]


def test_one_class_in_the_holdout_rejects() -> None:
    found = judge(np.ones(1_000), np.full(1_000, 0.9))
    assert (found.decision, failed(found)) == ("reject", ["evidence(negatives)"])


def test_the_champion_itself_is_confirmed_not_judged_again() -> None:
    found = confirmed(Gate(), "5", 1_000, 100)
    assert (found.decision, found.champion_version, found.bootstrap) == ("promote", "5", False)


def test_verdicts_survive_json_and_evaluations_hold_both_models() -> None:
    labels = holdout()
    found = judge(labels, model(labels, 2.0), model(labels, 1.0))
    assert Verdict.model_validate_json(found.model_dump_json()) == found
    assert all(isinstance(check, Check) for check in found.checks)
    drawn = evaluation(
        labels, {"challenger": model(labels, 2.0), "champion v3": model(labels, 1.0)}, {"x": 1.0}, 5
    )
    assert set(drawn.roc) == set(drawn.calibration) == {"challenger", "champion v3"}
    assert evaluation(np.ones(5), {"challenger": np.ones(5)}, {}, 0).roc == {}


def encoding(**features: str) -> FeatureEncoding:
    made = tuple(EncodedFeature(name=n, type="numeric", expression=e) for n, e in features.items())
    return FeatureEncoding(features=made, source_columns={"age": "int"})


def test_a_redefined_feature_is_not_the_champions() -> None:
    now = encoding(x="age * 2", y="age")
    assert champions.same_definitions(encoding(x="age * 2"), now)
    assert not champions.same_definitions(encoding(x="age * 3"), now)
    assert not champions.same_definitions(encoding(z="age"), now)
    assert champions.missing_columns(now, ["id"]) == ["age"]


def test_raw_rows_come_in_the_order_of_the_holdout() -> None:
    order = pa.table({"at": pa.array([1, 1, 2, 3], pa.timestamp("us")), "id": ["a", "b", "c", "d"]})
    rows = FeatureRows(order, np.zeros(4, np.float32), np.zeros((4, 0), np.float32), (), {}, pa.table({}))
    raw = pa.table(
        {"id": ["d", "x", "b", "c"], "at": pa.array([3, 9, 1, 2], pa.timestamp("us")), "age": [4, 9, 2, 3]}
    )
    found = champions.raw_rows(rows, np.array([1, 3]), ["at", "id"], raw.to_batches())
    assert found.column("age").to_pylist() == [2, 4]
    with pytest.raises(UserError, match="not in the source table exactly once"):
        champions.raw_rows(rows, np.array([0, 3]), ["at", "id"], raw.to_batches())
    twice = pa.concat_tables([raw, raw])
    with pytest.raises(UserError, match="not in the source table exactly once"):
        champions.raw_rows(rows, np.array([1, 3]), ["at", "id"], twice.to_batches())


@pytest.mark.parametrize(
    ("bounds", "passed"),
    [
        (Bounds(min=0.2, max=0.4), True),
        (Bounds(min=0.3), True),
        (Bounds(max=0.29), False),
        (Bounds(min=0.31), False),
    ],
)
def test_a_range_outside_the_declared_label_rate_is_rejected_whatever_the_scores(
    bounds: Bounds, passed: bool
) -> None:
    labels = holdout()
    checks = label_rate_checks(bounds, np.array([1.0] * 30 + [0.0] * 70))
    assert [(c.name, c.passed) for c in checks] == [("label_rate", passed)]
    found = verdict(Gate(bootstrap_samples=200), Holdout(labels), model(labels, 2.0), None, 1, checks)
    assert found.decision == ("promote" if passed else "reject")
    assert passed or found.reasons[0].startswith("label_rate: 0.3 of 100 labels are positive")


def test_no_declared_label_rate_asks_nothing() -> None:
    assert label_rate_checks(None, holdout()) == []
