"""Versions made a second time on real Spark, Iceberg and MLflow, after others have compacted and expired the tables."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakeloop.adapters.iceberg.catalog import open_catalog
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.mlflow.registry import MlflowModelRegistry
from lakeloop.adapters.spark.feature_recomputer import SparkFeatureRecomputer
from lakeloop.adapters.spark.ranges import rows_again
from lakeloop.adapters.spark.trainer import SparkTrainer
from lakeloop.domain.errors import RefusedError
from lakeloop.domain.lineage import CodeIdentity, TrainingSet
from lakeloop.domain.pins import pinned_by
from lakeloop.domain.replay import Replay, Source
from lakeloop.domain.rereading import SCRATCH_MARK, reading_of
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.replaying import Places, replay_version
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.runtime.libraries import libraries_here
from lakeloop.runtime.step import Step
from tests.integration.landing import Landing

pytestmark = pytest.mark.spark

CODE = CodeIdentity(libraries=libraries_here())
FAR_FUTURE = "TIMESTAMP '2100-01-01 00:00:00'"


@dataclass
class Shop:
    """A table that grows, its versions, and other people's maintenance."""

    landing: Landing
    folder: Path
    lines: int = 0
    tables: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        return self.landing.use_case.table.name

    def land(self, count: int = 60) -> str:
        self.landing.land(f"b{self.lines}", self.lines, count)
        self.lines += count
        return str(self.landing.state.current_snapshot_id)

    def append_a_row(self) -> None:
        spark_lake = self.landing.spark_lake
        columns = f"{self.lines}L, TIMESTAMP '2025-02-01 00:00:00', 1.5D, 'a', 1"
        spark_lake.sql(f"INSERT INTO {spark_lake.settings.catalog_name}.{self.source} SELECT {columns}")
        self.lines += 1

    def version(self) -> tuple[str, TrainingSet]:
        """Train on what is new, judge, register; the version."""
        plan = self.landing.plan()
        training_set = self.landing.build(plan)
        self.landing.consume(plan)
        place = {
            n: self.folder / f"{n}.json" for n in ("training_set", "training", "verdict", "registration")
        }
        place["training_set"].write_text(training_set.model_dump_json())
        self.step("train_model", training_set=place["training_set"], training_path=place["training"])
        self.step(
            "evaluate_model",
            training=place["training"],
            decision_path=self.folder / "decision.json",
            verdict_path=place["verdict"],
            evaluation_path=self.folder / "evaluation.json",
        )
        self.step(
            "register_model",
            training=place["training"],
            verdict=place["verdict"],
            registration_path=place["registration"],
        )
        self.tables = [self.source, training_set.feature_table]
        return json.loads(place["registration"].read_text())["version"], training_set

    def step(self, name: str, **arguments: Path) -> None:
        artifacts = {
            path.stem: {"artifacts": [{"name": path.stem, "uri": path.as_uri(), "metadata": {}}]}
            for option, path in arguments.items()
            if option.endswith("_path")
        }
        executor = {"outputs": {"outputFile": str(self.folder / "executor.json"), "artifacts": artifacts}}
        texts = {option: str(path) for option, path in arguments.items()}
        texts["executor_input"] = json.dumps(executor)
        body = importlib.import_module(f"components.{name}.__main__").body
        body(Step(name, "run-1", self.landing.use_case, self.landing.spark_lake.settings, texts))

    def replay(self, version: str, source: Source = "source") -> Replay:
        lake = self.landing.spark_lake
        places = Places(
            lake=lake.lake,
            ledger=IcebergLedger(lake.settings),
            registry=MlflowModelRegistry(lake.settings),
            recomputer=SparkFeatureRecomputer(lake.settings, lake.lake, lake.spark),
            trainer=SparkTrainer(lake.settings, lake.spark),
        )
        return replay_version(places, self.landing.use_case, version, source, code=CODE)

    def call(self, procedure: str) -> None:
        self.landing.spark_lake.sql(
            f"CALL {self.landing.spark_lake.settings.catalog_name}.system.{procedure}"
        )

    def compact(self) -> None:
        self.call(f"rewrite_data_files(table => '{self.source}', options => map('rewrite-all', 'true'))")

    def expire(self) -> None:
        for table in self.tables:
            self.call(f"expire_snapshots(table => '{table}', older_than => {FAR_FUTURE}, retain_last => 1)")

    def unpin(self, version: str) -> None:
        lake = self.landing.spark_lake.lake
        for table in self.tables:
            state = lake.table_state(table)
            assert state is not None
            for tag in pinned_by(state.refs, self.landing.use_case.name, version):
                lake.unpin(table, tag)

    def retained(self, table: str) -> set[str]:
        state = self.landing.spark_lake.lake.table_state(table)
        assert state is not None
        return {s.snapshot_id for s in state.snapshots}

    def training_file(self, version: str) -> Path:
        """The record of a version, in MLflow's artifact store."""
        settings = self.landing.spark_lake.settings
        run_id = MlflowModelRegistry(settings).trained(self.landing.use_case.name, version).mlflow_run_id
        (path,) = (settings.root / "mlartifacts").glob(f"*/{run_id}/artifacts/lakeloop/training.json")
        return path


@pytest.fixture
def shop(spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path) -> Shop:
    namespace = fresh_namespace()
    train = {"rounds": 8, "threads": 1, "window": {"policy": "last_n", "ranges": 2}}
    landing = Landing(spark_lake, namespace, tmp_path, {"name": f"shop_{namespace}", "train": train})
    return Shop(landing, tmp_path)


def test_versions_come_out_identical_after_ten_more_batches_compactions_and_expiries(shop: Shop) -> None:
    shop.land()
    first, _ = shop.version()
    shop.land()
    shop.land()
    shop.version()
    before_third = shop.landing.state.current_snapshot_id
    shop.land()
    shop.compact()  # inside the third version's range: its appended files are gone, its rows are not
    shop.land()
    third, built = shop.version()
    assert (built.range.from_snapshot_id, built.rows, len(built.range_ids)) == (before_third, 240, 2)
    for _ in range(10):
        shop.append_a_row()
    shop.compact()
    shop.expire()
    kept = shop.retained(shop.source)
    assert len(kept) < 10
    assert built.snapshots[0] not in kept, "the commits inside the range have expired"
    features = shop.landing.spark_lake.lake.table_state(built.feature_table)
    for version, rows in [(third, 240), (first, 60)]:
        found = shop.replay(version)
        assert found.outcome == "identical", found.differences
        assert found.rows == rows
        assert found.booster_sha256.now == found.booster_sha256.recorded
        assert found.data_digest.now == found.data_digest.recorded is not None
        assert found.metrics["roc_auc"].now == found.metrics["roc_auc"].recorded
        assert found.max_score_difference == 0
    assert shop.replay(third, "features").outcome == "identical"
    assert shop.landing.spark_lake.lake.table_state(built.feature_table) == features, "never touched"
    tables = [
        name for _, name in open_catalog(shop.landing.spark_lake.settings).list_tables(shop.landing.namespace)
    ]
    assert not [name for name in tables if SCRATCH_MARK in name]

    # Retired: unpinned, then expired by anyone. The source snapshots are the third version's, too.
    shop.unpin(first)
    shop.expire()
    with pytest.raises(RefusedError, match=r"snapshot \d+ cannot be read, it has expired.*_v1"):
        shop.replay(first, "features")
    for version in ("2", third):
        shop.unpin(version)
    shop.expire()
    with pytest.raises(RefusedError, match=rf"snapshot {built.range.to_snapshot_id} cannot be read"):
        shop.replay(third)


def test_a_replay_names_what_was_changed_since(shop: Shop) -> None:
    shop.land(90)
    version, built = shop.version()
    path = shop.training_file(version)
    record = json.loads(path.read_text())

    # Another library is named, and is no cause of anything where the bytes are the same.
    changed = json.loads(path.read_text())
    changed["lineage"]["code"]["libraries"]["xgboost-cpu"] = "1.7.6"
    path.write_text(json.dumps(changed))
    found = shop.replay(version)
    assert found.outcome == "identical"
    (library,) = [d for d in found.environment if d.kind == "library"]
    assert (library.name, library.recorded) == ("xgboost-cpu", "1.7.6")

    # The recorded use case: another expression and another seed than the digest stands for.
    changed = json.loads(json.dumps(record))
    changed["use_case"]["features"][2]["expression"] = "1 / (amount - 2.5)"
    path.write_text(json.dumps(changed))
    found = shop.replay(version)
    assert found.outcome == "differs"
    assert {"record", "rows"} <= {d.kind for d in found.differences}
    assert "train, column ratio" in {d.name for d in found.differences}
    (change,) = found.changes
    assert (change.rows, change.column, change.different) == ("newest", "ratio", 90)

    # Bytes of the feature table: amounts in another order.
    path.write_text(json.dumps(record))
    files = open_catalog(shop.landing.spark_lake.settings).load_table(built.feature_table).inspect.files()
    (data,) = [Path(uri.removeprefix("file:")) for uri in files["file_path"].to_pylist()]
    rows = pq.read_table(data)
    at = rows.schema.get_field_index("amount")
    spoilt = pc.if_else(pc.less(rows["id"], 40), pc.subtract(100.0, rows["amount"]), rows["amount"])
    pq.write_table(rows.set_column(at, rows.schema.field(at), spoilt), data)
    found = shop.replay(version, "features")
    assert found.outcome == "differs"
    assert [d.name for d in found.differences if d.kind == "rows"] == ["train, column amount"]
    assert [d.name for d in found.differences if d.kind == "model"] == ["booster.ubj"]
    assert found.max_score_difference > 0
    assert shop.replay(version, "source").outcome == "identical", "the source is as it was"


@pytest.mark.parametrize("mode", ["merge-on-read", "copy-on-write"])
def test_a_difference_of_two_snapshots_is_the_net_change_between_them(
    shop: Shop, mode: str, spark_lake: Any
) -> None:
    shop.land(12)
    table, name = f"{spark_lake.settings.catalog_name}.{shop.source}", shop.source
    spark_lake.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('write.delete.mode' = '{mode}')")
    start = str(shop.landing.state.current_snapshot_id)
    shop.land(12)
    spark_lake.sql(f"DELETE FROM {table} WHERE id IN (0, 1, 13)")  # noqa: S608
    again = f"SELECT * FROM {table} VERSION AS OF {start} WHERE id = 1"  # noqa: S608
    spark_lake.sql(f"INSERT INTO {table} {again}")  # deleted, and back: no net change
    spark_lake.sql(f"INSERT INTO {table} {again.replace('id = 1', 'id = 2')}")  # a second row 2
    shop.compact()
    spark_lake.sql(f"ALTER TABLE {table} RENAME COLUMN amount TO price")
    state = shop.landing.state
    range_ = SnapshotRange(
        table=name,
        table_uuid=state.table_uuid,
        from_snapshot_id=start,
        to_snapshot_id=str(state.current_snapshot_id),
    )
    assert reading_of(state, range_) == "difference"
    found = rows_again(spark_lake.spark, spark_lake.settings, state, range_)
    assert "amount" in found.columns, "as it was called then"
    assert sorted(row.id for row in found.select("id").collect()) == [2, 12, *range(14, 24)]
