"""`lakeloop tidy` on a real table: what a dead attempt left goes, all else stays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from lakeloop.adapters.files.folders import ArrowFolderKeeper
from lakeloop.adapters.iceberg.batch_records import IcebergBatchRecords
from lakeloop.adapters.iceberg.housekeeping import IcebergTableKeeper
from lakeloop.domain.pins import training_prefix
from lakeloop.tidying import Places, TidyPlan, carry_out, plan_runs, plan_use_case
from tests.integration.landing import Landing, rows

pytestmark = pytest.mark.spark


class Tidying(Landing):
    """Tidies by ages in seconds; negative ones make everything old."""

    def places(self) -> Places:
        settings = self.spark_lake.settings
        return Places(
            lake=self.spark_lake.lake,
            records=IcebergBatchRecords(settings),
            tables=IcebergTableKeeper(settings),
            folders=ArrowFolderKeeper(),
            staging_uri=(self.folder / "staging").as_uri(),
            runs_uri=(self.folder / "runs").as_uri(),
            journal_uri=(self.folder / "journal").as_uri(),
            goes_on=lambda run_id: run_id == "live",
            holder=lambda _: "live",
        )

    def plan(self, age_seconds: float = -60) -> TidyPlan:  # type: ignore[override]
        cutoff_ms = int((time.time() - age_seconds) * 1000)
        return plan_use_case(self.places(), self.use_case, cutoff_ms)

    def found(self, age_seconds: float = -60) -> dict[str, int]:
        kinds = [r.kind for r in self.plan(age_seconds).removals]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    def tidy(self) -> None:
        plan = self.plan()
        assert len(carry_out(self.places(), plan, lambda _: None)) == len(plan.removals)

    @property
    def name(self) -> str:
        return f"{self.spark_lake.settings.catalog_name}.{self.use_case.table.name}"

    def data(self) -> Path:
        keeper = IcebergTableKeeper(self.spark_lake.settings)
        return Path(keeper.files(self.use_case.table.name).stored[0].path).parent


@pytest.fixture
def tidying(spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path) -> Tidying:
    return Tidying(spark_lake, fresh_namespace(), tmp_path)


def test_a_dead_attempt_is_cleaned_up_in_two_steps_and_pins_stay(tidying: Tidying) -> None:
    first = tidying.land("one", 0, 9)
    tidying.spark_lake.lake.pin(tidying.use_case.table.name, "lakeloop_pumps_v1", str(first.snapshot_id))
    tidying.land("two", 9, 9)
    assert tidying.found() == {}
    tidying.spark_lake.sql(f"ALTER TABLE {tidying.name} CREATE BRANCH lakeloop_batch_three")
    tidying.spark_lake.sql(f"ALTER TABLE {tidying.name} CREATE BRANCH mine")
    frame = tidying.spark_lake.spark.table(tidying.name).limit(3)
    frame.writeTo(f"{tidying.name}.branch_lakeloop_batch_three").option(
        "snapshot-property.lakeloop.batch-id", "three"
    ).append()
    assert tidying.found(age_seconds=3600) == {}
    assert tidying.found() == {"branch": 1, "snapshot": 1}
    tidying.tidy()
    assert [r.name for r in tidying.state.refs] == ["lakeloop_pumps_v1", "main", "mine"]
    assert tidying.found() == {"data_file": 2}  # with its checksum
    tidying.tidy()
    assert tidying.found() == {}
    assert tidying.ids() == list(range(18))
    assert tidying.column(tidying.use_case.table.name, str(first.snapshot_id), "id") == list(range(9))
    assert tidying.land("three", 18, 9).outcome == "published"


def test_a_branch_that_moved_since_it_was_looked_at_stays(tidying: Tidying) -> None:
    tidying.land("one", 0, 9)
    tidying.spark_lake.sql(f"ALTER TABLE {tidying.name} CREATE BRANCH lakeloop_batch_two")
    assert tidying.found(age_seconds=3600) == {}
    plan = tidying.plan()
    assert [r.name for r in plan.removals] == ["lakeloop_batch_two"]
    frame = tidying.spark_lake.spark.table(tidying.name).limit(3)
    frame.writeTo(f"{tidying.name}.branch_lakeloop_batch_two").append()
    assert carry_out(tidying.places(), plan, lambda _: None) == ()
    assert "lakeloop_batch_two" in [r.name for r in tidying.state.refs]


def test_what_a_dead_training_held_goes_and_what_a_live_one_holds_stays(tidying: Tidying) -> None:
    first, table = str(tidying.land("one", 0, 9).snapshot_id), tidying.use_case.table.name
    tags = {run: training_prefix("pumps", run) + first for run in ("dead", "live")}
    others = training_prefix("pumps_of_others", "dead") + first
    tidying.spark_lake.lake.pin_all(table, dict.fromkeys((*tags.values(), others), first))
    assert tidying.found(age_seconds=3600) == {}
    assert [(r.kind, r.name) for r in tidying.plan().removals] == [("tag", tags["dead"])]
    tidying.tidy()
    assert {r.name for r in tidying.state.refs} == {"main", tags["live"], others}


def test_files_of_killed_writers_go_by_age_and_named_ones_never(tidying: Tidying) -> None:
    tidying.land("one", 0, 9)
    tidying.spark_lake.sql(f"DELETE FROM {tidying.name} WHERE id = 3")  # noqa: S608
    orphan, young = tidying.data() / "00000-9-dead.parquet", tidying.data() / "00000-9-young.parquet"
    for path, age_seconds in ((orphan, 7200), (young, 0)):
        path.write_bytes(b"half a file")
        os.utime(path, (time.time() - age_seconds,) * 2)
    assert tidying.found(age_seconds=3600) == {"data_file": 1}
    carry_out(tidying.places(), tidying.plan(age_seconds=3600), lambda _: None)
    assert (orphan.exists(), young.exists()) == (False, True)
    assert len(tidying.ids()) == 8


def test_staged_files_and_old_runs(tidying: Tidying) -> None:
    tidying.publish(tidying.batch("landed", rows(0, 9)))
    for place in ("staging/batches/pumps/landed", "staging/batches/pumps/waiting", "runs/live", "runs/ended"):
        (tidying.folder / place).mkdir(parents=True)
        (tidying.folder / place / "file").write_text("x")
    assert tidying.found() == {"staged_batch": 1}
    tidying.tidy()
    uri = unquote(urlsplit(tidying.places().staging_uri).path)
    assert [p.name for p in Path(uri, "batches", "pumps").iterdir()] == ["waiting"]
    plan = plan_runs(tidying.places(), int((time.time() + 60) * 1000))
    assert [(r.kind, r.name) for r in carry_out(tidying.places(), plan, lambda _: None)] == [
        ("run_folder", "ended")
    ]


def test_a_table_inside_another_ones_folder_keeps_both_their_files(tidying: Tidying) -> None:
    tidying.land("one", 0, 9)
    inside = f"{tidying.spark_lake.settings.catalog_name}.{tidying.namespace}.inside"
    tidying.spark_lake.sql(f"CREATE TABLE {inside} (id int) USING iceberg LOCATION '{tidying.data().parent}'")
    tidying.spark_lake.sql(f"INSERT INTO {inside} VALUES (1)")  # noqa: S608
    plan = tidying.plan()
    assert (plan.removals, [item.reason for item in plan.left]) == (
        (),
        [f"table {tidying.namespace}.inside lies at the same place"],
    )


def test_the_table_of_a_dead_replay_is_dropped_and_ones_like_it_are_not(tidying: Tidying) -> None:
    tidying.land("one", 0, 9)
    names = [
        "pumps__pumps_replay_0123456789ab",
        "pumps__pumps_replay_mine",
        "pumps__other_replay_0123456789ab",
    ]
    for name in names:
        table = f"{tidying.spark_lake.settings.catalog_name}.{tidying.namespace}.{name}"
        tidying.spark_lake.sql(f"CREATE TABLE {table} USING iceberg AS SELECT 1 AS id")
    assert tidying.found(age_seconds=3600) == {}
    assert [r.place for r in tidying.plan().removals] == [f"{tidying.namespace}.{names[0]}"]
    tidying.tidy()
    left = IcebergTableKeeper(tidying.spark_lake.settings).tables(tidying.namespace)
    assert sorted(left) == sorted(f"{tidying.namespace}.{n}" for n in ("pumps", *names[1:]))
