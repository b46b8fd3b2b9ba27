"""Histories that real Spark and Iceberg write, and the plan for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.plan import Plan, Watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.schema_changes import column_keys
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.use_case import SnapshotPolicy
from tests.integration.equality_deletes import delete_equal

pytestmark = pytest.mark.spark

_NUMBERS = itertools.count(1)
ROW_BY_ROW = "TBLPROPERTIES ('write.delete.mode' = 'merge-on-read', 'format-version' = '{version}')"


@dataclass
class SparkTable:
    """A table of its own, written by Spark and looked at by pyiceberg alone."""

    spark: Any
    lake: IcebergLake
    catalog: str
    name: str = field(default_factory=lambda: f"histories.t{next(_NUMBERS)}")

    def sql(self, text: str) -> list[Any]:
        """Run a statement; {t} stands for the table, {n} for its name in procedures."""
        rows: list[Any] = self.spark.sql(text.format(t=f"{self.catalog}.{self.name}", n=self.name)).collect()
        return rows

    def call(self, procedure: str) -> None:
        self.sql(f"CALL {self.catalog}.system.{procedure}")

    def create(self, clauses: str = "") -> SparkTable:
        self.sql(f"CREATE TABLE {{t}} (id BIGINT, amount FLOAT) USING iceberg {clauses}")
        return self

    def append(self, first: int, count: int = 2, branch: str = "") -> str:
        values = ", ".join(f"({i}, {i}.5)" for i in range(first, first + count))
        self.sql(f"INSERT INTO {{t}}{branch} SELECT /*+ COALESCE(1) */ * FROM VALUES {values}")  # noqa: S608
        return self.head

    @property
    def state(self) -> TableState:
        state = self.lake.table_state(self.name)
        assert state is not None
        return state

    @property
    def head(self) -> str:
        assert self.state.current_snapshot_id is not None
        return self.state.current_snapshot_id

    def consumed(self) -> Watermark:
        state = self.state
        return Watermark(
            table_uuid=state.table_uuid,
            snapshot_id=self.head,
            schema_id=state.current_schema_id,
            columns=column_keys(state.columns),
        )

    def plan(self, mark: Watermark | None, **policy: Any) -> Plan:
        return plan_range(self.state, mark, SnapshotPolicy(**policy))

    def ids(self) -> list[int]:
        batches = self.lake.read_batches(self.name, self.head, columns=["id"])
        return sorted(pa.Table.from_batches(batches)["id"].to_pylist())


@pytest.fixture
def table(spark_lake: Any) -> Iterator[SparkTable]:
    settings = spark_lake.settings
    spark_lake.spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {settings.catalog_name}.histories")
    yield SparkTable(spark_lake.spark, IcebergLake(settings), settings.catalog_name)
    spark_lake.spark.conf.unset("spark.wap.id")


def test_appends_and_compaction(table: SparkTable) -> None:
    table.create()
    assert table.plan(None).action == "nothing"
    table.append(0, 3)
    first = table.plan(None)
    assert (first.action, first.added_rows) == ("append-scan", 3)
    mark = table.consumed()
    assert table.plan(mark).action == "nothing"
    appended = [table.append(3), table.append(5)]
    table.call("rewrite_data_files(table => '{n}', options => map('rewrite-all', 'true'))")
    compacted = table.plan(mark)
    assert [s.operation for s in compacted.snapshots] == ["append", "append", "replace"]
    assert [s.snapshot_id for s in compacted.snapshots] == [*appended, table.head]
    assert (compacted.action, compacted.added_rows) == ("append-scan", 4)
    table.call("rewrite_manifests('{n}')")
    assert table.plan(mark).added_rows == 4
    assert table.ids() == list(range(7))


def test_overwrite_and_delete_by_file(table: SparkTable) -> None:
    table.create("PARTITIONED BY (truncate(10, id))")
    table.append(0)
    mark = table.consumed()
    table.append(10)
    table.sql("DELETE FROM {t} WHERE id < 10")
    deleted = table.plan(mark)
    assert [s.operation for s in deleted.snapshots] == ["append", "delete"]
    assert deleted.action == "refuse"
    assert table.plan(mark, on_delete="changelog").action == "changelog"
    rebuilt = table.plan(mark, on_delete="rebuild")
    assert (rebuilt.action, rebuilt.added_rows) == ("rebuild", 2)
    assert table.plan(None).action == "rebuild"
    table.sql("INSERT OVERWRITE {t} VALUES (70, 0.5)")
    assert table.plan(mark, on_delete="rebuild").action == "refuse"
    assert table.plan(mark, on_delete="rebuild", on_overwrite="rebuild").added_rows == 1


@pytest.mark.parametrize("version", [2, 3])
def test_delete_by_row(table: SparkTable, version: int) -> None:
    """Position delete files in version 2, deletion vectors in version 3."""
    table.create(ROW_BY_ROW.format(version=version))
    table.append(0, 4)
    mark = table.consumed()
    table.sql("DELETE FROM {t} WHERE id = 1")
    plan = table.plan(mark)
    assert (plan.action, [s.operation for s in plan.snapshots]) == ("refuse", ["delete"])
    assert table.plan(None).added_rows is None
    assert table.ids() == [0, 2, 3]


@pytest.mark.parametrize("version", [2, 3])
def test_delete_by_equality(table: SparkTable, version: int) -> None:
    """As Flink writes it: no data file is looked at."""
    table.create(ROW_BY_ROW.format(version=version))
    table.append(0, 4)
    mark = table.consumed()
    delete_equal(table.spark, f"{table.catalog}.{table.name}", pa.table({"id": pa.array([1], pa.int64())}))
    plan = table.plan(mark)
    assert (plan.action, [s.operation for s in plan.snapshots]) == ("refuse", ["delete"])
    assert table.plan(mark, on_delete="rebuild").action == "rebuild"
    assert table.plan(None).added_rows is None
    assert table.ids() == [0, 2, 3]


def test_copy_on_write_changes(table: SparkTable) -> None:
    table.create()
    table.append(0, 4)
    mark = table.consumed()
    table.sql("UPDATE {t} SET amount = 0 WHERE id = 1")
    plan = table.plan(mark)
    assert (plan.action, [s.operation for s in plan.snapshots]) == ("refuse", ["overwrite"])


def test_branches_and_staged_commits(table: SparkTable) -> None:
    table.create("TBLPROPERTIES ('write.wap.enabled' = 'true')")
    table.append(0)
    mark = table.consumed()
    table.sql("ALTER TABLE {t} CREATE BRANCH audit")
    table.append(2, branch=".branch_audit")
    table.spark.conf.set("spark.wap.id", "staged-1")
    table.append(4)
    table.spark.conf.unset("spark.wap.id")
    assert len(table.state.snapshots) == 3
    assert table.plan(mark).action == "nothing"
    table.call("fast_forward('{n}', 'main', 'audit')")
    assert table.plan(mark).added_rows == 2
    staged = next(s for s in table.state.snapshots if s.summary.get("wap.id") == "staged-1")
    table.call(f"cherrypick_snapshot('{{n}}', {staged.snapshot_id})")
    picked = table.plan(mark)
    assert (picked.action, len(picked.snapshots), picked.added_rows) == ("append-scan", 2, 4)
    assert any("published from staged commits: 1 append" in r for r in picked.reasons)
    assert staged.snapshot_id not in {s.snapshot_id for s in picked.snapshots}
    assert table.ids() == list(range(6))


def test_rollback(table: SparkTable) -> None:
    table.create()
    first = table.append(0)
    table.append(2)
    mark = table.consumed()
    table.call(f"rollback_to_snapshot('{{n}}', {first})")
    back = table.plan(mark)
    assert back.action == "refuse"
    assert "1 consumed snapshot up to" in back.reasons[0]
    table.append(4)
    assert "went on from there" in table.plan(mark).reasons[0]
    rebuilt = table.plan(mark, on_rollback="rebuild")
    assert (rebuilt.action, rebuilt.added_rows) == ("rebuild", 4)
    assert table.ids() == [0, 1, 4, 5]


def test_expiry(table: SparkTable) -> None:
    table.create()
    table.append(0)
    mark = table.consumed()
    child = table.append(2)
    later = table.consumed()
    expire = "expire_snapshots(table => '{{n}}', older_than => TIMESTAMP '2999-01-01', retain_last => {keep})"
    table.call(expire.format(keep=1))
    kept = table.plan(mark)
    assert (kept.action, [s.snapshot_id for s in kept.snapshots]) == ("append-scan", [child])
    table.lake.pin(table.name, "lakeloop_m_v1", later.snapshot_id)
    for first in (4, 6):
        table.append(first)
    table.call(expire.format(keep=1))
    assert len(table.state.snapshots) == 2
    gone = table.plan(later)
    assert gone.action == "refuse"
    assert "have expired" in gone.reasons[0]
    rebuilt = table.plan(later, on_expired_start="rebuild")
    assert (rebuilt.action, rebuilt.added_rows) == ("rebuild", 8)
    pinned = table.lake.read_batches(table.name, later.snapshot_id)
    assert sum(b.num_rows for b in pinned) == 4
    table.lake.unpin(table.name, "lakeloop_m_v1")
    assert table.sql("SELECT count(*) FROM {t}")[0][0] == 8


def test_schema_changes(table: SparkTable) -> None:
    table.create()
    table.append(0)
    mark = table.consumed()
    table.append(2)
    table.sql("ALTER TABLE {t} ADD COLUMN city STRING")
    added = table.plan(mark)
    assert (added.action, added.reasons[0]) == (
        "refuse",
        "column 'city' (string) was added (snapshots.on_schema_change)",
    )
    assert table.plan(mark, on_schema_change="allow_added").action == "append-scan"
    table.sql("ALTER TABLE {t} DROP COLUMN city")
    assert table.plan(mark).action == "append-scan"
    table.sql("ALTER TABLE {t} ALTER COLUMN amount TYPE DOUBLE")
    table.sql("ALTER TABLE {t} RENAME COLUMN amount TO total")
    changed = table.plan(mark, on_schema_change="allow_added")
    assert changed.action == "refuse"
    assert [r.split(" (")[0] for r in changed.reasons] == [
        "column 'amount' was renamed to 'total'",
        "column 'total' changed from float to double",
    ]


def test_replaced_and_recreated_tables(table: SparkTable) -> None:
    table.create()
    table.append(0)
    mark = table.consumed()
    table.sql("CREATE OR REPLACE TABLE {t} USING iceberg AS SELECT 1L AS id, FLOAT(2) AS amount")
    assert table.state.table_uuid == mark.table_uuid
    assert "replaced in place" in table.plan(mark).reasons[0]
    assert table.plan(mark, on_replaced_table="rebuild").added_rows == 1
    table.sql("DROP TABLE {t} PURGE")
    assert table.lake.table_state(table.name) is None
    table.create()
    table.append(0)
    assert table.plan(mark).action == "refuse"
    assert "dropped and made anew" in table.plan(mark).reasons[0]
