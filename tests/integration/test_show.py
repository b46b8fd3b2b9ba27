"""`lakeloop show` on what Spark wrote: appends, overwrites, deletes, compaction, rollback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from lakeloop.cli.app import app
from tests.integration.equality_deletes import delete_equal
from tests.integration.landing import Landing, rows

pytestmark = pytest.mark.spark


@pytest.fixture
def landing(
    spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Landing:
    monkeypatch.setenv("LAKELOOP_HOME", str(spark_lake.settings.home))
    return Landing(spark_lake, fresh_namespace(), tmp_path)


def show(landing: Landing, *options: str) -> Any:
    result = CliRunner().invoke(app, ["show", landing.use_case.table.name, "--json", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def sql(landing: Landing, statement: str) -> str:
    """Run on the table `t`; the head afterwards."""
    name = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    landing.spark_lake.sql(statement.replace("TABLE_T", name))
    return str(landing.state.current_snapshot_id)


def test_time_travel_over_a_table_that_was_rewritten(landing: Landing) -> None:
    first = str(landing.land("one", 0, 9).snapshot_id)
    second = str(landing.land("two", 9, 3).snapshot_id)
    assert show(landing, "--diff", f"{first}..{second}")["rows"]["method"] == "files"
    updated = sql(landing, "UPDATE TABLE_T SET amount = -1 WHERE id IN (2, 3)")
    deleted = sql(landing, "DELETE FROM TABLE_T WHERE id = 4")
    catalog, table = landing.spark_lake.settings.catalog_name, landing.use_case.table.name
    landing.spark_lake.sql(
        f"CALL {catalog}.system.rewrite_data_files(table => '{table}', options => map('rewrite-all', 'true'))"
    )
    compacted = str(landing.state.current_snapshot_id)

    net = show(landing, "--diff", f"{second}..{deleted}")
    assert (net["rows"]["method"], net["rows"]["added"], net["rows"]["removed"]) == ("rows", 2, 3)
    assert [r["id"] for r in net["rows"]["added_rows"]] == [2, 3]
    assert [r["id"] for r in net["rows"]["removed_rows"]] == [2, 3, 4]
    amount = next(c for c in net["columns"] if c["name"] == "amount")
    assert (amount["before"]["min"], amount["after"]["min"], amount["after"]["count"]) == ("0.5", "-1.0", 11)
    assert set(amount["changed"]) >= {"count", "min", "mean"}
    nothing = show(landing, "--diff", f"{deleted}..{compacted}", "--no-statistics")
    assert (nothing["rows"]["added"], nothing["rows"]["removed"], nothing["columns"]) == (0, 0, [])

    assert {
        r["amount"] for r in show(landing, "--at", updated, "--rows", "20")["rows"] if r["id"] in {2, 3}
    } == {-1}
    landing.spark_lake.sql(f"CALL {catalog}.system.rollback_to_snapshot('{table}', {second})")
    assert len(show(landing, "--rows", "20")["rows"]) == 12
    before_that = show(landing, "--snapshots")["snapshots"][-1]["timestamp_ms"]
    assert len(show(landing, "--at", str(before_that), "--rows", "20", "--columns", "id")["rows"]) == 11
    history = show(landing, "--history")["history"]
    assert [m["step"] for m in history][-1] == "rollback"
    assert [m["is_ancestor"] for m in history] == [True, True, False, False, False, True]
    batches = [s["summary"].get("lakeloop.batch-id") for s in show(landing, "--snapshots")["snapshots"]]
    assert [b for b in batches if b] == ["one", "two"]
    assert show(landing, "--refs")["refs"][0]["snapshot_id"] == second


def test_positional_deletes_and_an_added_column(landing: Landing) -> None:
    """Merge-on-read: the data file is the same, its deletes are not."""
    first = str(landing.land("one", 0, 9).snapshot_id)
    sql(landing, "ALTER TABLE TABLE_T SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    deleted = sql(landing, "DELETE FROM TABLE_T WHERE id = 5")
    net = show(landing, "--diff", f"{first}..")
    assert (net["to_snapshot_id"], net["rows"]["added"], net["rows"]["removed"]) == (deleted, 0, 1)
    assert [r["id"] for r in net["rows"]["removed_rows"]] == [5]
    sql(landing, "ALTER TABLE TABLE_T ADD COLUMN extra int")
    sql(landing, "INSERT INTO TABLE_T VALUES (100, TIMESTAMP'2025-01-01', 1, 'a', 1, 7)")
    net = show(landing, "--diff", f"{deleted}..main")
    assert (net["rows"]["added"], net["rows"]["removed"]) == (1, 0)
    extra = next(c for c in net["columns"] if c["name"] == "extra")
    assert (extra["before"], extra["after"]["count"]) == (None, 1)
    assert [c["name"] for c in show(landing, "--schema", "--at", first)["columns"]][-1] == "failed"


@pytest.mark.parametrize("version", ["2", "3"])
def test_equality_deletes(landing: Landing, version: str) -> None:
    """They hold for rows that were there before them, in whatever columns are shown; null equals null."""
    landing.publish(landing.batch("one", rows(0, 9, amount="NA")))
    first = sql(landing, f"ALTER TABLE TABLE_T SET TBLPROPERTIES ('format-version' = '{version}')")
    name = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    twice = pa.table({"amount": pa.array([None, 5.5, 6.5]), "kind": ["a", "b", "b"]})
    delete_equal(landing.spark_lake.spark, name, twice)
    deleted = str(landing.state.current_snapshot_id)
    net = show(landing, "--diff", f"{first}..{deleted}")
    assert (net["rows"]["added"], net["rows"]["removed"]) == (0, 2)
    assert [r["id"] for r in net["rows"]["removed_rows"]] == [0, 5], "6 is of the other kind"
    shown = show(landing, "--at", deleted, "--rows", "20", "--columns", "id")["rows"]
    assert [r["id"] for r in shown] == [1, 2, 3, 4, 6, 7, 8]
    sql(landing, "INSERT INTO TABLE_T VALUES (5, TIMESTAMP'2025-01-01', 5.5, 'b', 0)")
    assert landing.ids() == [1, 2, 3, 4, 5, 6, 7, 8], "a row that came later stays"
    assert [s["operation"] for s in show(landing, "--snapshots")["snapshots"]].count("delete") == 1
    sql(landing, "ALTER TABLE TABLE_T DROP COLUMN kind")
    assert landing.ids() == [1, 2, 3, 4, 5, 6, 7, 8], "also by a column that is gone by now"


def test_deletion_vectors(landing: Landing) -> None:
    """Version 3 marks deleted rows in a Puffin file, one a data file, which the next delete replaces."""
    first = str(landing.land("one", 0, 9).snapshot_id)
    sql(
        landing,
        "ALTER TABLE TABLE_T SET TBLPROPERTIES ('format-version' = '3', 'write.delete.mode' = 'merge-on-read')",
    )
    once = sql(landing, "DELETE FROM TABLE_T WHERE id = 5")
    twice = sql(landing, "DELETE FROM TABLE_T WHERE id IN (0, 8)")
    assert landing.ids() == [1, 2, 3, 4, 6, 7]
    net = show(landing, "--diff", f"{once}..{twice}")
    assert [r["id"] for r in net["rows"]["removed_rows"]] == [0, 8]
    assert show(landing, "--diff", f"{first}..{twice}")["rows"]["removed"] == 3
    shown = show(landing, "--at", once, "--rows", "20")["rows"]
    assert [r["id"] for r in shown] == [0, 1, 2, 3, 4, 6, 7, 8]


def test_an_expired_snapshot_is_told(landing: Landing) -> None:
    first = str(landing.land("one", 0, 9).snapshot_id)
    landing.publish(landing.batch("two", rows(9, 3)))
    catalog, table = landing.spark_lake.settings.catalog_name, landing.use_case.table.name
    landing.spark_lake.sql(
        f"CALL {catalog}.system.expire_snapshots(table => '{table}', older_than => TIMESTAMP '2999-01-01')"
    )
    result = CliRunner().invoke(app, ["show", table, "--at", first])
    assert "has expired" in str(result.exception)
