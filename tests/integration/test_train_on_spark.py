"""Engine spark: the same rows, holdout and contract as the local engine, trained by executors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from components.train_model import core
from lakeloop.adapters.spark.trainer import SparkTrainer
from lakeloop.domain.encoding import encode
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_rows import layout_of
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.metrics import Scored
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.use_case import UseCase

pytestmark = pytest.mark.spark
ROWS = 3_000


def use_case(**train: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "case",
            "table": {"name": "a.b", "key": ["id"], "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": "y"},
            "features": ["x0", "x1", "city"],
            "train": {"engine": "spark", "workers": 2, "rounds": 8, "params": {"max_depth": 3}, **train},
        }
    )


def feature_table(spark_lake: Any, name: str) -> TrainingSet:
    spark_lake.sql(f"CREATE NAMESPACE IF NOT EXISTS lake.{name}")
    spark_lake.sql(
        f"""CREATE TABLE lake.{name}.f USING iceberg AS
        SELECT id, timestamp_seconds(1700000000 + id DIV 10) AS at,
               CAST(x0 + noise > 0 AS DOUBLE) AS _label, IF(id % 17 = 0, NULL, x0) AS x0, x1,
               element_at(array('bonn', 'rome', 'oslo'), CAST(id % 3 + 1 AS INT)) AS city,
               IF(id < 1000, 'old', 'new') AS _range_id
        FROM (SELECT id, randn(1) AS x0, randn(2) AS x1, randn(3) AS noise FROM range(0, {ROWS}, 1, 3))"""  # noqa: S608
    )
    state = spark_lake.lake.table_state(f"{name}.f")
    return TrainingSet(
        use_case="case",
        range=SnapshotRange(table="a.b", table_uuid="u", from_snapshot_id=None, to_snapshot_id="1"),
        snapshots=("1",),
        schema_id=0,
        feature_hash="h",
        feature_table=f"{name}.f",
        feature_table_uuid=state.table_uuid,
        feature_snapshot_id=state.current_snapshot_id,
        range_ids=("old", "new"),
        newest_range_id="new",
        rows=ROWS,
        newest_rows=2_000,
    )


def test_executors_train_the_same_rows_as_the_local_engine(
    spark_lake: Any, fresh_namespace: Callable[[], str]
) -> None:
    training_set = feature_table(spark_lake, fresh_namespace())
    trainer = SparkTrainer(spark_lake.settings, spark_lake.spark)
    made = trainer.train(use_case(), training_set, {"x0": "double"}, lambda _: None)
    batches = spark_lake.lake.read_batches(
        training_set.feature_table,
        training_set.feature_snapshot_id,
        columns=layout_of(use_case(), training_set).columns,
        range_ids=training_set.range_ids,
    )
    rows = pa.Table.from_batches(batches)
    local = core.train(use_case(), training_set, iter(rows.to_batches()), raw_columns={"x0": "double"})
    assert made.encoding == local.encoding
    assert (made.train_rows, made.holdout_rows) == (local.train_rows, local.holdout_rows) == (2_600, 400)
    assert made.holdout_start[:16] == local.holdout_start[:16]

    holdout = rows.sort_by([("at", "ascending"), ("id", "ascending")]).slice(2_600)
    data = xgb.DMatrix(
        encode(holdout, made.encoding),
        feature_names=made.encoding.names,
        feature_types=made.encoding.xgboost_types,
        enable_categorical=True,
    )
    labels = np.array(holdout.column("_label"))
    skill = [
        Scored(labels, xgb.Booster(model_file=bytearray(b.booster)).predict(data)).value("roc_auc")
        for b in (made, local)
    ]
    assert skill[0] == pytest.approx(skill[1], abs=0.03)
    assert skill[0] > 0.75
    assert len(made.history["validation-logloss"]) >= made.rounds
    again = trainer.train(use_case(), training_set, {"x0": "double"}, lambda _: None)
    assert again.booster == made.booster


def test_replay_on_executors_takes_the_local_engines_sample(
    spark_lake: Any, fresh_namespace: Callable[[], str]
) -> None:
    training_set = feature_table(spark_lake, fresh_namespace())
    case = use_case(window={"policy": "replay", "fraction": 0.3}, rounds=2)
    made = SparkTrainer(spark_lake.settings, spark_lake.spark).train(case, training_set, {}, lambda _: None)
    batches = spark_lake.lake.read_batches(
        training_set.feature_table,
        training_set.feature_snapshot_id,
        columns=layout_of(case, training_set).columns,
        range_ids=training_set.range_ids,
    )
    assert made.train_rows == core.train(case, training_set, batches, raw_columns={}).train_rows


def test_warm_start_is_refused(spark_lake: Any) -> None:
    case = use_case(window={"policy": "warm_start"})
    with pytest.raises(UserError, match="warm_start is not supported by engine spark"):
        SparkTrainer(spark_lake.settings, spark_lake.spark).train(case, None, {}, lambda _: None)  # type: ignore[arg-type]
