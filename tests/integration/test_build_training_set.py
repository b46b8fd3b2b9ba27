"""Training sets on real Spark and Iceberg: exactly the planned rows, each range computed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeloop.domain.errors import ConflictError, RefusedError, UserError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.pinning import pin_plan, pin_training_set, unpin_training
from tests.integration.equality_deletes import delete_equal
from tests.integration.landing import Landing, rows

pytestmark = pytest.mark.spark


@pytest.fixture(params=["spark", "local"])
def landing(
    request: pytest.FixtureRequest, spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path
) -> Landing:
    return Landing(spark_lake, fresh_namespace(), tmp_path, engine=request.param)


def feature_rows(landing: Landing, training_set: TrainingSet) -> list[dict[str, Any]]:
    table, at = training_set.feature_table, training_set.feature_snapshot_id
    batches = landing.spark_lake.lake.read_batches(table, at, None, training_set.range_ids)
    found: list[dict[str, Any]] = sorted(pa.Table.from_batches(batches).to_pylist(), key=lambda r: r["id"])
    return found


def test_features_of_the_first_range(landing: Landing) -> None:
    landing.changes = {"gate": {"slices": [{"column": "kind"}]}}
    landing.publish(landing.batch("one", rows(0, 10, failed="")))
    plan = landing.plan()
    built = landing.build(plan)
    assert (built.rows, built.newest_rows, built.range) == (9, 9, plan.range)
    found = feature_rows(landing, built)
    assert [r["id"] for r in found] == list(range(1, 10)), "the row without a label is left out"
    assert list(found[0]) == ["at", "id", "_label", "amount", "kind", "ratio", "_slice_kind", "_range_id"]
    assert [r["_label"] for r in found[:4]] == [0.0, 0.0, 1.0, 0.0]
    assert found[0]["ratio"] is None, "1 / 0 is null, as when serving"
    assert (found[1]["ratio"], found[1]["kind"], found[1]["_slice_kind"]) == (1.0, "a", "a")
    assert {r["_range_id"] for r in found} == {built.newest_range_id}
    assert landing.build(plan) == built.model_copy(update={"spark_seconds": 0.0}), (
        "adopted, not computed again"
    )


def test_an_increment_is_exactly_the_new_rows(landing: Landing) -> None:
    landing.land("one", 0, 12)
    first = landing.plan()
    landing.build(first)
    landing.consume(first)
    landing.land("two", 12, 6)
    landing.land("three", 18, 6)
    built = landing.build()
    assert landing.feature_ids(built) == list(range(12, 24))
    assert (built.rows, built.newest_rows, len(built.snapshots)) == (12, 12, 2)


@pytest.mark.parametrize("version", [2, 3])
def test_what_a_plan_has_pinned_is_read_although_somebody_expires_all_that_they_can(
    landing: Landing, version: int
) -> None:
    landing.land("one", 0, 10)
    landing.spark_lake.sql(
        f"ALTER TABLE {landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name} "
        f"SET TBLPROPERTIES ('format-version' = '{version}')"
    )
    landing.consume(landing.plan())
    for index, name in enumerate(["two", "three", "four"], start=1):
        landing.land(name, 10 * index, 10)
    plan, lake, table = landing.plan(), landing.spark_lake.lake, landing.use_case.table.name
    pin_plan(lake, "pumps", "run-1", plan)
    landing.land("later", 40, 10)
    landing.spark_lake.sql(
        f"CALL {landing.spark_lake.settings.catalog_name}.system.expire_snapshots(table => '{table}', "
        "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)"
    )
    built = landing.build(plan)
    assert landing.feature_ids(built) == list(range(10, 40))
    pin_training_set(lake, "run-1", built)
    unpin_training(lake, "pumps", "run-1", table, built.feature_table)
    assert [r.name for r in landing.state.refs] == ["main"]


def test_windows_reach_back_through_the_chain(landing: Landing) -> None:
    built = {}
    for index, name in enumerate(["one", "two", "three"]):
        landing.land(name, 10 * index, 10)
        plan = landing.plan()
        built[name] = landing.build(plan)
        landing.consume(plan)
    landing.changes = {"train": {"window": {"policy": "last_n", "ranges": 2}}}
    two_ranges = landing.build(plan)
    assert landing.feature_ids(two_ranges) == list(range(10, 30))
    assert two_ranges.range_ids == (built["three"].newest_range_id, built["two"].newest_range_id)
    assert two_ranges.spark_seconds == 0
    procedure = f"CALL {landing.spark_lake.settings.catalog_name}.system.expire_snapshots"
    landing.spark_lake.sql(
        f"{procedure}(table => '{two_ranges.feature_table}', older_than => TIMESTAMP '2100-01-01 00:00:00')"
    )
    expired = landing.build(plan)
    assert (expired.range_ids, expired.rows, expired.spark_seconds) == (two_ranges.range_ids, 20, 0)
    assert landing.feature_ids(expired) == list(range(10, 30)), "known although its commit has expired"
    landing.changes = {"train": {"window": {"policy": "full"}}}
    full = landing.build(plan)
    assert (full.rows, full.newest_rows, len(full.range_ids)) == (30, 10, 3)
    landing.changes["features"] = ["amount", {"name": "double_amount", "expression": "2 * amount"}]
    anew = landing.build(plan)
    assert landing.feature_ids(anew) == list(range(30))
    assert len(anew.range_ids) == 2, "a new definition: everything before the increment is one range"
    assert anew.feature_table == full.feature_table
    landing.changes["features"] = [
        {"name": "amount", "expression": "CAST(floor(amount) AS BIGINT)", "type": "categorical"}
    ]
    other_type = landing.build(plan)
    assert other_type.feature_table != full.feature_table
    assert landing.feature_ids(other_type) == list(range(30))


def test_deletes_by_policy(landing: Landing) -> None:
    landing.land("one", 0, 12)
    first = landing.plan()
    landing.consume(first)
    landing.land("two", 12, 6)
    table = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    landing.spark_lake.sql(f"DELETE FROM {table} WHERE id IN (0, 12)")  # noqa: S608
    landing.changes = {"snapshots": {"on_delete": "rebuild", "on_overwrite": "rebuild"}}
    assert landing.feature_ids(landing.build()) == [*range(1, 12), *range(13, 18)]
    landing.changes = {"snapshots": {"on_delete": "changelog", "on_overwrite": "changelog"}}
    plan = landing.plan()
    assert plan.action == "changelog"
    assert landing.feature_ids(landing.build(plan)) == list(range(13, 18)), (
        "12 came and went inside the range"
    )
    landing.changes["train"] = {"window": {"policy": "full"}}
    with pytest.raises(RefusedError, match="earlier ranges"):
        landing.build(plan)
    landing.consume(plan)
    landing.land("three", 18, 6)
    with pytest.raises(RefusedError, match="earlier ranges"):
        landing.build()  # the row deleted before still stands in the rows of the first range
    landing.changes["train"] = {"window": {"policy": "last_n", "ranges": 2}}
    assert landing.feature_ids(landing.build()) == list(range(13, 24))


@pytest.mark.parametrize("version", [2, 3])
def test_net_changes_past_delete_files(landing: Landing, version: int) -> None:
    """Position deletes, deletion vectors and equality deletes: Iceberg's changelog knows none of them."""
    landing.land("one", 0, 12)
    landing.consume(landing.plan())
    table = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    row_by_row = f"'format-version' = '{version}', 'write.delete.mode' = 'merge-on-read'"
    landing.spark_lake.sql(
        f"ALTER TABLE {table} SET TBLPROPERTIES ({row_by_row}, 'write.update.mode' = 'merge-on-read')"
    )
    landing.land("two", 12, 6)
    landing.spark_lake.sql(f"DELETE FROM {table} WHERE id IN (0, 12)")  # noqa: S608
    landing.spark_lake.sql(f"UPDATE {table} SET amount = 7 WHERE id = 3")  # noqa: S608
    delete_equal(landing.spark_lake.spark, table, pa.table({"id": pa.array([1, 13], pa.int64())}))
    landing.changes = {"snapshots": {"on_delete": "changelog", "on_overwrite": "changelog"}}
    plan = landing.plan()
    assert plan.action == "changelog"
    assert landing.feature_ids(landing.build(plan)) == [3, 14, 15, 16, 17]


def test_what_cannot_be_a_training_set(landing: Landing) -> None:
    landing.land("one", 0, 9)
    plan = landing.plan()
    landing.changes = {"features": [{"name": "f", "expression": "no_such_column + 1"}]}
    with pytest.raises(UserError, match=r"a feature cannot be computed.*no_such_column"):
        landing.build(plan)
    landing.changes = {"features": [{"name": "f", "expression": "failed + 1"}]}
    with pytest.raises(UserError, match="'f' reads the label"):
        landing.build(plan)
    landing.changes = {"features": ["at"]}
    with pytest.raises(UserError, match="'at': a column of type timestamptz is no number"):
        landing.build(plan)
    landing.changes = {"label": {"column": "kind"}, "features": ["amount"]}
    with pytest.raises(UserError, match="which value is the positive class"):
        landing.build(plan)
    landing.changes = {"label": {"column": "kind", "positive": "c"}, "features": ["amount"]}
    for _ in range(2):
        with pytest.raises(UserError, match="only the class 0"):
            landing.build(plan)
    table = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    landing.spark_lake.sql(f"ALTER TABLE {table} ADD COLUMN later STRING")
    with pytest.raises(ConflictError, match="changed since it was planned"):
        landing.build(plan)
