"""train_model's core: what decides the booster's bytes, and what never may."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from components.train_model import core
from lakeloop.domain.encoding import encode
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.feature_rows import RANGE_COLUMN, RowLayout, read_rows, split_by_time
from lakeloop.domain.features import FeatureSpec
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.sampling import in_sample, key_hash
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.trained_booster import Champion, TrainedBooster
from lakeloop.domain.use_case import UseCase

ROWS = 2_000


def use_case(**train: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "case",
            "table": {"name": "a.b", "key": ["id"], "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": "y"},
            "features": ["x0", "x1", "city"],
            "train": {"rounds": 12, "params": {"max_depth": 3}, **train},
        }
    )


def training_set(
    rows: int = ROWS, ranges: tuple[str, ...] = ("new",), newest_rows: int | None = None
) -> TrainingSet:
    return TrainingSet(
        use_case="case",
        range=SnapshotRange(table="a.b", table_uuid="u", from_snapshot_id=None, to_snapshot_id="1"),
        snapshots=("1",),
        schema_id=0,
        feature_hash="h",
        feature_table="a.f",
        feature_table_uuid="v",
        feature_snapshot_id="2",
        range_ids=ranges,
        newest_range_id="new",
        rows=rows,
        newest_rows=newest_rows or rows,
    )


def table(rows: int = ROWS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x0, x1 = rng.normal(size=rows), rng.normal(size=rows)
    label = (rng.random(rows) < 1 / (1 + np.exp(-2 * x0))).astype(float)
    # Ten rows share each event time, so that the key has to decide.
    return pa.table(
        {
            "id": pa.array([f"k{i:05d}" for i in range(rows)]),
            "at": pa.array(np.arange(rows) // 10 * 1_000_000, pa.timestamp("us")),
            "_label": label,
            "x0": pa.array(x0, mask=rng.random(rows) < 0.05),
            "x1": x1,
            "city": rng.choice(["bonn", "rome", "oslo"], rows),
        }
    )


def train(rows: pa.Table, case: UseCase | None = None, **options: Any) -> TrainedBooster:
    chosen = options.pop("training_set", None) or training_set(rows.num_rows)
    return core.train(
        case or use_case(), chosen, iter(rows.to_batches(max_chunksize=333)), raw_columns={}, **options
    )


def test_bytes_depend_on_rows_configuration_and_seed_only() -> None:
    rows = table()
    made = train(rows)
    shuffled = rows.take(np.random.default_rng(1).permutation(ROWS))
    for threads in (1, 2, 3):
        assert train(shuffled, use_case(threads=threads)).booster == made.booster
    assert train(rows, use_case(params={"max_depth": 4})).booster != made.booster
    sampled = {"max_depth": 3, "subsample": 0.5}
    assert train(rows, use_case(params=sampled)).booster == train(shuffled, use_case(params=sampled)).booster
    assert (
        train(rows, use_case(params=sampled)).booster != train(rows, use_case(params=sampled, seed=7)).booster
    )


def test_equal_event_time_and_key_still_have_one_order() -> None:
    rows = table().set_column(0, "id", pa.array(["same"] * ROWS))
    shuffled = rows.take(np.random.default_rng(2).permutation(ROWS))
    assert train(rows).booster == train(shuffled).booster


def test_the_newest_rows_are_held_out_and_change_nothing() -> None:
    rows = table()
    made = train(rows)
    assert (made.train_rows, made.holdout_rows) == (1_600, 400)
    assert made.holdout_start == "1970-01-01T00:02:40"
    flipped = np.array(rows.column("_label")).copy()
    flipped[1_600:] = 1 - flipped[1_600:]
    assert train(rows.set_column(2, "_label", pa.array(flipped))).booster == made.booster


def test_the_saved_booster_scores_the_signal_and_stops_at_its_best_round() -> None:
    rows = table()
    made = train(rows, use_case(rounds=300, early_stopping_rounds=5, params={"max_depth": 6, "eta": 0.5}))
    booster = xgb.Booster(model_file=bytearray(made.booster))
    assert booster.num_boosted_rounds() == made.rounds < len(made.history["validation-logloss"]) < 300
    assert made.history["validation-logloss"][made.rounds - 1] == min(made.history["validation-logloss"])
    assert made.metrics["validation_logloss"] == min(made.history["validation-logloss"])
    holdout = rows.slice(1_600)
    data = xgb.DMatrix(
        encode(holdout, made.encoding),
        feature_names=made.encoding.names,
        feature_types=made.encoding.xgboost_types,
        enable_categorical=True,
    )
    scores, labels = booster.predict(data), np.array(holdout.column("_label"))
    assert scores[labels == 1].mean() > scores[labels == 0].mean() + 0.2


def test_categories_come_from_training_rows_only() -> None:
    rows = table()
    cities = rows.column("city").to_pylist()
    cities[-1] = "lima"
    made = train(rows.set_column(5, "city", pa.array(cities)))
    assert made.encoding.features[2].categories == ("bonn", "oslo", "rome")


def test_replay_takes_the_same_share_of_the_earlier_rows_in_any_order() -> None:
    rows = table().append_column(RANGE_COLUMN, pa.array(["old"] * 1_000 + ["new"] * 1_000))
    chosen = training_set(ROWS, ("old", "new"), 1_000)
    case = use_case(window={"policy": "replay", "fraction": 0.3})
    made = train(rows, case, training_set=chosen)
    assert made.holdout_rows == 200
    assert made.train_rows == pytest.approx(800 + 300, abs=50)
    shuffled = rows.take(np.random.default_rng(3).permutation(ROWS))
    assert train(shuffled, case, training_set=chosen).booster == made.booster
    full = train(rows, use_case(window={"policy": "full"}), training_set=chosen)
    assert full.train_rows == 1_800


def test_a_sample_grows_with_its_fraction_and_does_not_know_batches() -> None:
    keys = pa.array([f"k{i}" for i in range(20_000)])
    hashes = key_hash([keys, keys], seed=1)
    np.testing.assert_array_equal(hashes[:7], key_hash([keys.slice(0, 7), keys.slice(0, 7)], seed=1))
    small, large = in_sample(hashes, 0.1), in_sample(hashes, 0.3)
    assert small.mean() == pytest.approx(0.1, abs=0.01)
    assert not (small & ~large).any()
    assert (in_sample(key_hash([keys, keys], seed=2), 0.1) != small).any()
    assert key_hash([pa.array(["abc"])], 0)[0] == key_hash([pa.chunked_array([["abc"]])], 0)[0]


def test_warm_start_adds_rounds_to_the_champion_and_keeps_its_codes() -> None:
    first = train(table(seed=1))
    champion = Champion("4", first.booster, first.encoding)
    case = use_case(window={"policy": "warm_start"})
    rows = table(seed=2)
    rows = rows.set_column(
        5, "city", pa.array(["zagreb" if c == "bonn" else c for c in rows.column("city").to_pylist()])
    )
    made = train(rows, case, champion=champion)
    assert made.encoding.features == first.encoding.features
    assert made.rounds > first.rounds
    grown = xgb.Booster(model_file=bytearray(made.booster))
    assert grown[: first.rounds].get_dump() == xgb.Booster(model_file=bytearray(first.booster)).get_dump()
    assert made.notes == {"warm_start_from": "version 4"}
    other = champion.encoding.model_copy(update={"features": champion.encoding.features[:2]})
    with pytest.raises(UserError, match="trained on other features"):
        train(rows, case, champion=Champion("4", first.booster, other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": {"max_dept": 3}}, r"train.params: XGBoost does not know .*max_dept"),
        ({"params": {"max_depth": "deep"}}, r"train.params: .*max_depth"),
        ({"params": {"seed": 3}}, "use train.seed"),
        ({"params": {"objective": "reg:squarederror"}}, "use binary:logistic"),
        ({"params": {"booster": "gblinear"}}, "use gbtree or dart"),
    ],
)
def test_a_wrong_parameter_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(table(200), use_case(**change))


def test_rows_without_a_lesson_are_refused() -> None:
    with pytest.raises(UserError, match="all 1600 training rows have label 0: one class only"):
        train(table().set_column(2, "_label", pa.array(np.zeros(ROWS))))
    with pytest.raises(UserError, match="8 rows to train on; at least 20"):
        train(table(10))
    with pytest.raises(UserError, match=r"label 2.0 is neither 0 nor 1"):
        train(table().set_column(2, "_label", pa.array(np.arange(ROWS) % 3.0)))
    with pytest.raises(UserError, match="0 rows to train on"):
        core.train(use_case(), training_set(0), iter(()), raw_columns={})


@pytest.mark.parametrize("recorded", [ROWS - 1, ROWS + 1])
def test_other_rows_than_recorded_are_an_error(recorded: int) -> None:
    with pytest.raises(LakeloopError, match="the feature table holds"):
        train(table(), training_set=training_set(recorded))


def test_split_takes_the_holdout_from_the_newest_range_only() -> None:
    rows = table(100).append_column(RANGE_COLUMN, pa.array(["new"] * 40 + ["old"] * 60))
    layout = RowLayout(("at", "id"), use_case().features, (RANGE_COLUMN,))
    read = read_rows(iter(rows.to_batches()), layout, 100)
    newest = np.array(rows.column(RANGE_COLUMN)) == "new"
    split = split_by_time(read.total_order(), newest, 0.25)
    assert split.holdout.tolist() == list(range(30, 40))
    assert sorted([*split.train, *split.holdout]) == list(range(100))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e39])
def test_a_value_that_no_model_can_see_is_refused_by_its_feature(value: float) -> None:
    rows = pa.table(
        {"at": [1, 2, 3], "id": [1, 2, 3], "_label": [0.0, 1.0, 0.0], "amount": [1.0, value, float("nan")]}
    )
    layout = RowLayout(("at", "id"), (FeatureSpec(name="amount", column="amount"),))
    with pytest.raises(UserError, match=r"feature amount: 1 values are infinite, or larger than"):
        read_rows(rows.to_batches(), layout, 3)


def test_the_key_may_be_the_event_time() -> None:
    rows = table()
    moments = pa.array(np.arange(ROWS) * 1_000_000, pa.timestamp("us"))
    rows = rows.set_column(1, "at", moments).drop_columns(["id"])
    case = use_case()
    by_time = case.model_copy(update={"table": case.table.model_copy(update={"key": ("at",)})})
    assert train(rows, by_time).train_rows == ROWS - ROWS // 5
