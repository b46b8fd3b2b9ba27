"""Write-audit-publish on real Spark and Iceberg: what a reader of main sees, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from pyarrow import parquet

from components.generate_batch import core
from lakeloop.adapters.iceberg.batch_records import IcebergBatchRecords
from lakeloop.adapters.iceberg.branches import IcebergRefs
from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.domain.batch import BATCH_ID_PROPERTY, Batch
from lakeloop.domain.dialects import SPARK
from lakeloop.domain.errors import UserError
from lakeloop.domain.published_batches import open_records
from lakeloop.domain.time_formats import instant
from tests.integration.landing import HEADER, Landing, rows
from tests.unit.domain.test_time_formats import CASES, MISFITS

pytestmark = pytest.mark.spark


@pytest.fixture(params=["spark", "local"])
def landing(
    request: pytest.FixtureRequest, spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path
) -> Landing:
    return Landing(spark_lake, fresh_namespace(), tmp_path, engine=request.param)


def local(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def refs(landing: Landing) -> list[str]:
    return [r.name for r in landing.state.refs]


def test_batches_land_once(landing: Landing) -> None:
    first = landing.land("one", 0, 30)
    assert landing.state.snapshots[-1].summary[BATCH_ID_PROPERTY] == "one"
    assert first.snapshot_id == landing.state.current_snapshot_id
    assert first.table_uuid == landing.state.table_uuid
    again = landing.publish(landing.batch("one", rows(0, 30)))
    assert (again.outcome, again.snapshot_id, again.rows) == ("already_published", first.snapshot_id, 30)
    assert landing.land("two", 30, 10).rows == 10
    assert landing.ids() == list(range(40))
    assert refs(landing) == ["main"]


def test_values_arrive_as_declared(landing: Landing) -> None:
    """Nulls, quotes, line breaks, and times of other zones."""
    lines = rows(0, 6, kind='"say ""hi"",\nthen go"', at="2025-01-01T02:00:00+02:00", amount="NA")
    landing.publish(landing.batch("one", lines))
    batches = landing.spark_lake.lake.read_batches(
        landing.use_case.table.name, landing.state.current_snapshot_id
    )
    row = next(r for r in pa.Table.from_batches(batches).to_pylist() if r["id"] == 0)
    assert (row["kind"], row["amount"]) == ('say "hi",\nthen go', None)
    assert row["at"].isoformat() == "2025-01-01T00:00:00+00:00"


def test_moments_are_read_as_the_use_case_says_they_are_written(landing: Landing) -> None:
    landing.changes = {"source": {"time_formats": {"at": "%d/%m/%Y %H:%M"}}}
    lines = [line.replace(line.split(",")[1], f"{i + 1}/2/2025 8:0{i}") for i, line in enumerate(rows(0, 6))]
    assert landing.publish(landing.batch("one", lines)).rows == 6
    batches = landing.spark_lake.lake.read_batches(
        landing.use_case.table.name, landing.state.current_snapshot_id
    )
    moments = {r["id"]: r["at"].isoformat() for r in pa.Table.from_batches(batches).to_pylist()}
    assert moments == {i: f"2025-02-0{i + 1}T08:0{i}:00+00:00" for i in range(6)}
    with pytest.raises(
        UserError, match=r"'at': 3 values are no timestamp written as %d/%m/%Y %H:%M, e.g. '2025"
    ):
        landing.publish(landing.batch("two", rows(6, 3)))
    assert landing.ids() == list(range(6))


def test_spark_reads_moments_as_duckdb_does(spark_lake: Any) -> None:
    wanted = {(written, text): moment for written, text, moment in CASES}
    wanted |= dict.fromkeys(MISFITS)
    found = {}
    for written, text in wanted:
        moment = f"date_format({instant(SPARK, SPARK.text(text), written)}, 'yyyy-MM-dd HH:mm:ss.SSSSSS')"
        found[written, text] = spark_lake.sql(f"SELECT {moment} AS at")[0]["at"]
    assert found == {
        key: None if at is None else f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S.%f}"
        for key, at in wanted.items()
    }


def test_a_refused_batch_is_kept_and_never_seen(landing: Landing) -> None:
    landing.land("good", 0, 30)
    head = landing.state.current_snapshot_id
    result = landing.publish(landing.batch("bad", [*rows(30, 9, amount=-1), rows(38, 1)[0], rows(7, 1)[0]]))
    assert result.outcome == "refused"
    assert {r.rule: r.failing_rows for r in result.rules if not r.passed} == {
        "range(amount)": 1,
        "unique(id)": 1,
        "new(id)": 1,
    }
    assert landing.state.current_snapshot_id == head
    assert refs(landing) == ["main"]
    assert result.quarantine_uri is not None
    folder = local(result.quarantine_uri)
    kept = parquet.read_table(folder / "rows").to_pylist()
    assert len(kept) == 11
    assert {r["id"]: r["_broken_rules"] for r in kept if r["_broken_rules"]} == {
        30: ["range(amount)"],
        38: ["unique(id)"],
    }
    told = json.loads((folder / "rules.json").read_text())
    assert {r["rule"] for r in told["rules"] if not r["passed"]} == {"range(amount)", "unique(id)", "new(id)"}


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ([], "rows"),
        ([line[:-1] + "0" for line in rows(0, 9)], "label_classes(failed)"),
        (rows(0, 9, failed=""), None),
        (rows(0, 9, failed=7), "label_values(failed)"),
    ],
)
def test_first_batches_that_no_model_could_learn_from(
    landing: Landing, lines: list[str], rule: str | None
) -> None:
    result = landing.publish(landing.batch("one", lines))
    assert result.outcome == ("refused" if rule else "published")
    assert [r.rule for r in result.rules if not r.passed] == [rule] * (rule is not None) or rule == "rows"
    assert (landing.state is None) == (rule is not None), "a refused first batch leaves no table"
    assert len(landing.ids()) == (0 if rule else 9)


@pytest.mark.parametrize(
    ("lines", "header", "told", "existing"),
    [
        (
            rows(0, 9, amount="much"),
            HEADER,
            ["one.csv", "'amount'", "1 values are no double", "'much'"],
            True,
        ),
        (rows(0, 9, id="1.5"), HEADER, ["'id'", "no long", "'1.5'"], False),
        (rows(0, 9, at="yesterday"), HEADER, ["'at'", "no timestamp", "'yesterday'"], False),
        ([*rows(0, 9), "9,2025-01-01"], HEADER, ["1 lines cannot be read", "9,2025-01-01"], True),
        (rows(0, 9), "id,at,amount,kind,failure", ["one.csv", "'failed' is missing"], True),
        ([f"{line},x" for line in rows(0, 9)], HEADER + ",extra", ["'extra' is not declared"], False),
        (rows(0, 9), "id,at,amount,kind,id", ["'id' is there twice"], False),
    ],
)
def test_wrong_files_are_named_and_nothing_is_written(
    landing: Landing, lines: list[str], header: str, told: list[str], existing: bool
) -> None:
    if existing:
        landing.land("good", 100, 9)
    with pytest.raises(UserError) as caught:
        landing.publish(landing.batch("one", lines, header))
    assert all(text in str(caught.value) for text in told), str(caught.value)
    assert (landing.state is not None) == existing
    assert landing.ids() == (list(range(100, 109)) if existing else [])
    assert not existing or refs(landing) == ["main"]


def test_moments_may_be_what_is_unique(landing: Landing) -> None:
    landing.changes = {"expectations": {"unique": ["at"]}}
    landing.land("one", 0, 30)
    landing.land("two", 30, 10)
    result = landing.publish(landing.batch("three", [*rows(40, 9), rows(7, 1)[0]]))
    assert {r.rule: r.failing_rows for r in result.rules if not r.passed} == {"new(at)": 1}
    assert landing.ids() == list(range(40))


def test_extra_columns_may_be_dropped(landing: Landing) -> None:
    landing.changes = {"expectations": {"extra_columns": "drop"}}
    landing.publish(landing.batch("one", [f"x,{line}" for line in rows(0, 9)], "extra," + HEADER))
    assert landing.ids() == list(range(9))


def test_a_column_that_the_table_has_otherwise(landing: Landing) -> None:
    landing.land("one", 0, 9)
    landing.changes = {"table": {"columns": {"amount": "int", "new": "string"}}}
    with pytest.raises(
        UserError, match=r"'new' is not in the table; .*'amount' is declared int, the table has double"
    ):
        landing.publish(landing.batch("two", rows(9, 9)))


def test_parquet_and_json_are_as_strict(landing: Landing, tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "at": ["2025-01-01", "2025-01-02"], "amount": [1.0, 2.0]})
    table = table.append_column("kind", pa.array(["a", "b"])).append_column("failed", pa.array([0.0, 1.0]))
    parquet.write_table(table, tmp_path / "one.parquet")
    batch = Batch(kind="files", batch_id="p", files=((tmp_path / "one.parquet").as_uri(),), format="parquet")
    with pytest.raises(UserError, match="column 'at' has type string, declared is timestamp"):
        landing.publish(batch)
    nanoseconds = pa.array([1_735_689_600_000_000_000, 1_735_689_600_000_001_000], pa.timestamp("ns"))
    fitting = table.set_column(1, "at", nanoseconds).set_column(4, "failed", pa.array([0, 1]))
    parquet.write_table(fitting, tmp_path / "one.parquet")
    assert landing.publish(batch).outcome == "published"
    seconds = [
        t.isoformat()
        for t in landing.column(landing.use_case.table.name, landing.state.current_snapshot_id, "at")
    ]
    assert seconds == ["2025-01-01T00:00:00+00:00", "2025-01-01T00:00:00.000001+00:00"]
    lines = [
        {"id": 3, "at": "2025-01-03", "amount": 1.5, "kind": "a", "failed": 0},
        {"id": 4, "at": "2025-01-03", "failed": 1},
    ]
    path = tmp_path / "two.json"
    as_json = Batch(kind="files", batch_id="j", files=(path.as_uri(),), format="json")
    path.write_text("\n".join(map(json.dumps, [*lines, {"id": "five"}])))
    with pytest.raises(UserError, match=r"'id': 1 values are no long, e.g. 'five'"):
        landing.publish(as_json)
    path.write_text("\n".join(map(json.dumps, lines)))
    assert landing.publish(as_json).outcome == "published"
    assert landing.ids() == [1, 2, 3, 4]


def test_unreadable_files(landing: Landing, tmp_path: Path) -> None:
    missing = Batch(kind="files", batch_id="m", files=((tmp_path / "none.csv").as_uri(),), format="csv")
    with pytest.raises(UserError, match=r"none\.csv.*cannot be read"):
        landing.publish(missing)
    (tmp_path / "text.parquet").write_text("no parquet")
    broken = Batch(kind="files", batch_id="b", files=((tmp_path / "text.parquet").as_uri(),))
    with pytest.raises(UserError, match=r"text\.parquet.*cannot be read"):
        landing.publish(broken)
    (tmp_path / "empty.csv").write_text("")
    empty = Batch(kind="files", batch_id="e", files=((tmp_path / "empty.csv").as_uri(),), format="csv")
    with pytest.raises(UserError, match=r"empty\.csv.*the file is empty"):
        landing.publish(empty)


MOMENTS = {
    "spark": {"audited": (TableRefs, "publish"), "committing": (TableRefs, "_stage_properties")},
    "local": {"audited": (IcebergRefs, "publish"), "committing": (IcebergRefs, "_commit")},
}
"""Between the audit and the publication; and when that has looked at main and is about to commit."""


def intrude(landing: Landing, monkeypatch: pytest.MonkeyPatch, moment: str, act: Callable[[], Any]) -> None:
    """Another writer who is always in time, once."""
    owner, name = MOMENTS[landing.engine][moment]
    real, waiting = getattr(owner, name), [act]

    def call(*arguments: Any, **named: Any) -> Any:
        if waiting:
            waiting.pop()()
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("moment", ["audited", "committing"])
def test_main_moved_while_auditing(landing: Landing, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    landing.land("one", 0, 9)
    table = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    statement = f"INSERT INTO {table} VALUES (99, TIMESTAMP'2025-01-01', 1, 'a', 1)"  # noqa: S608
    intrude(landing, monkeypatch, moment, lambda: landing.spark_lake.sql(statement))
    assert landing.land("two", 9, 9).outcome == "published"
    assert landing.ids() == [*range(18), 99]
    head = next(s for s in landing.state.snapshots if s.snapshot_id == landing.state.current_snapshot_id)
    assert head.summary[BATCH_ID_PROPERTY] == "two"
    assert {r.batch_id for r in open_records(landing.state)} == {"one", "two"}


def test_the_other_writer_brought_this_very_batch(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    landing.land("one", 0, 9)
    batch = landing.batch("two", rows(9, 9))
    winner = landing.publisher()
    use_case = landing.use_case

    def act() -> None:
        assert winner.publish(use_case, batch, "winner").outcome == "published"

    intrude(landing, monkeypatch, "audited", act)
    result = landing.publish(batch)
    assert result.outcome == "already_published"
    assert landing.ids() == list(range(18))
    assert refs(landing) == ["main"]


@pytest.mark.parametrize("left", ["branch", "staged", "staged and main moved"])
def test_what_a_killed_attempt_left_is_used_or_dropped(landing: Landing, left: str) -> None:
    landing.land("one", 0, 9)
    batch = landing.batch("two", rows(9, 9))
    table = f"{landing.spark_lake.settings.catalog_name}.{landing.use_case.table.name}"
    landing.spark_lake.sql(f"ALTER TABLE {table} CREATE BRANCH lakeloop_batch_two")
    if left != "branch":
        frame = landing.spark_lake.spark.read.option("versionAsOf", landing.state.current_snapshot_id).table(
            table
        )
        staged = frame.selectExpr("id + 9 AS id", "at", "amount", "kind", "failed")
        staged.writeTo(f"{table}.branch_lakeloop_batch_two").option(
            "snapshot-property.lakeloop.batch-id", "two"
        ).append()
    if left == "staged and main moved":
        landing.land("three", 18, 9)
    result = landing.publish(batch)
    assert (result.outcome, result.rows) == ("published", 9)
    assert landing.ids() == list(range(27 if left == "staged and main moved" else 18))
    assert refs(landing) == ["main"]


def expire_all_but_the_head(landing: Landing) -> None:
    table = landing.use_case.table.name
    catalog = landing.spark_lake.settings.catalog_name
    landing.spark_lake.sql(
        f"CALL {catalog}.system.expire_snapshots(table => '{table}', older_than => TIMESTAMP '2999-01-01', "
        "retain_last => 1)"
    )
    assert len(landing.state.snapshots) == 1


def test_a_batch_lands_once_although_its_snapshot_has_expired(landing: Landing) -> None:
    """The record travels with the rows: a crash between publication and record cannot be."""
    first = landing.land("one", 0, 9)
    landing.land("two", 9, 9)
    landing.land("three", 18, 9)
    expire_all_but_the_head(landing)
    again = landing.publish(landing.batch("one", rows(0, 9)))
    assert (again.outcome, again.snapshot_id, again.rows) == ("already_published", first.snapshot_id, 9)
    assert "expired" in again.reason
    assert landing.land("four", 27, 9).outcome == "published"
    assert landing.ids() == list(range(36))


def test_records_move_out_of_the_properties_and_still_count(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakeloop.domain.published_batches.MOST_OPEN_RECORDS", 2)
    for i, name in enumerate(["one", "two", "three", "four"]):
        landing.land(name, 9 * i, 9)
    assert {r.batch_id for r in open_records(landing.state)} == {"three", "four"}
    expire_all_but_the_head(landing)
    for name in ["one", "four"]:
        assert landing.publish(landing.batch(name, rows(0, 9))).outcome == "already_published"
    kept = IcebergBatchRecords(landing.spark_lake.settings).of(landing.state.table_uuid)
    assert core.next_number(landing.state, kept) == 2
    assert landing.ids() == list(range(36))


def test_a_batch_that_was_rolled_back_may_land_again(landing: Landing) -> None:
    before = landing.land("one", 0, 9).snapshot_id
    landing.land("two", 9, 9)
    table = f"{landing.spark_lake.settings.catalog_name}"
    name = landing.use_case.table.name
    landing.spark_lake.sql(f"CALL {table}.system.rollback_to_snapshot('{name}', {before})")
    assert landing.land("two", 9, 9).outcome == "published"
    assert landing.ids() == list(range(18))
