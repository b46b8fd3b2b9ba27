"""The in-process engine dies before or after each of its commits, or meets another writer there: rows land once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.iceberg.branches import IcebergRefs
from lakeloop.adapters.in_process import feature_builder, publisher
from lakeloop.settings import Settings
from tests.integration.landing import LakeWithoutSpark, Landing, rows


class Killed(BaseException):
    """SIGKILL, as far as one process can play it."""


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(LakeWithoutSpark(Settings(home=tmp_path / "home")), "ns", tmp_path, engine="local")


MOMENTS = [
    (owner, name, side)
    for owner, name in [
        (publisher, "create_table"),
        (feature_builder, "create_table"),
        (IcebergRefs, "create"),
        (IcebergRefs, "append"),
        (IcebergRefs, "publish"),
    ]
    for side in ("before", "after")
]


def in_the_midst(
    monkeypatch: pytest.MonkeyPatch, moment: tuple[Any, str, str], act: Callable[[], Any]
) -> None:
    """Let `act` happen once, before or after the first call."""
    owner, name, side = moment
    real, calls = getattr(owner, name), itertools.count(1)

    def call(*arguments: Any, **named: Any) -> Any:
        first = next(calls) == 1
        if first and side == "before":
            act()
        answer = real(*arguments, **named)
        if first and side == "after":
            act()
        return answer

    monkeypatch.setattr(owner, name, call)


def die() -> None:
    raise Killed


def branches(landing: Landing, table: str) -> list[str]:
    state = landing.spark_lake.lake.table_state(table)
    return [r.name for r in state.refs] if state else []


@pytest.mark.parametrize("moment", [m for m in MOMENTS if m[0] is not feature_builder], ids=str)
@pytest.mark.parametrize("earlier", [0, 9])
def test_a_batch_lands_once(
    landing: Landing, monkeypatch: pytest.MonkeyPatch, moment: Any, earlier: int
) -> None:
    if earlier:
        landing.land("one", 0, earlier)
    batch = landing.batch("two", rows(earlier, 9))
    with monkeypatch.context() as dying, suppress(Killed):
        in_the_midst(dying, moment, die)
        landing.publish(batch)
    assert len(landing.ids()) in {earlier, earlier + 9}, "whole batches or nothing"
    again = landing.publish(batch)
    assert again.outcome in {"published", "already_published"}
    assert landing.ids() == list(range(earlier + 9))
    assert branches(landing, landing.use_case.table.name) == ["main"]


@pytest.mark.parametrize("moment", [m for m in MOMENTS if m[0] is not publisher], ids=str)
def test_a_range_is_computed_once(landing: Landing, monkeypatch: pytest.MonkeyPatch, moment: Any) -> None:
    landing.land("one", 0, 9)
    plan = landing.plan()
    with monkeypatch.context() as dying, suppress(Killed):
        in_the_midst(dying, moment, die)
        landing.build(plan)
    built = landing.build(plan)
    assert (built.rows, landing.feature_ids(built)) == (9, list(range(9)))
    assert branches(landing, built.feature_table) == ["main"]
    assert landing.build(plan) == built


@pytest.mark.parametrize("name", ["create", "append", "publish", "_commit"])
def test_two_live_writers_of_one_batch(landing: Landing, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    landing.land("one", 0, 9)
    batch = landing.batch("two", rows(9, 9))
    in_the_midst(monkeypatch, (IcebergRefs, name, "before"), lambda: landing.publish(batch))
    assert landing.publish(batch).outcome in {"published", "already_published"}
    assert landing.ids() == list(range(18))
    assert branches(landing, landing.use_case.table.name) == ["main"]


def expire_by_pyiceberg(landing: Landing, name: str) -> None:
    """All but the head; unlike Iceberg's Java library it erases the parent of what is left."""
    table = landing.spark_lake.lake.find(name)
    table.maintenance.expire_snapshots().older_than(datetime(2999, 1, 1)).commit()  # noqa: DTZ001
    state = landing.spark_lake.lake.table_state(name)
    assert [s.parent_id for s in state.snapshots] == [None]


def test_what_landed_and_was_computed_is_known_although_pyiceberg_has_expired_it(landing: Landing) -> None:
    landing.changes = {"train": {"window": {"policy": "full"}}}
    for index, name in enumerate(["one", "two", "three"]):
        landing.land(name, 9 * index, 9)
        plan = landing.plan()
        built = landing.build(plan)
        landing.consume(plan)
    for table in (landing.use_case.table.name, built.feature_table):
        expire_by_pyiceberg(landing, table)
    again = landing.publish(landing.batch("one", rows(0, 9)))
    assert again.outcome == "already_published"
    assert landing.ids() == list(range(27))
    rebuilt = landing.build(plan)
    assert rebuilt.range_ids == built.range_ids
    assert landing.feature_ids(rebuilt) == list(range(27)), "no range was computed a second time"
    assert landing.plan().action == "nothing"
    landing.land("four", 27, 9)
    assert landing.plan().added_rows == 9


def test_a_watermark_that_pyiceberg_has_expired_is_refused_as_such(landing: Landing) -> None:
    landing.land("one", 0, 9)
    landing.consume(landing.plan())
    for index in (1, 2):
        landing.land(f"more{index}", 9 * index, 9)
    expire_by_pyiceberg(landing, landing.use_case.table.name)
    plan = landing.plan()
    assert plan.action == "refuse"
    assert "have expired" in plan.reasons[0]


def test_a_refused_batch_leaves_nothing_on_main(landing: Landing) -> None:
    refused = landing.publish(landing.batch("bad", rows(0, 9, amount=-1)))
    assert (refused.outcome, landing.state) == ("refused", None), "a refused first batch leaves no table"
    landing.land("one", 0, 9)
    head = landing.state.current_snapshot_id
    again = landing.publish(landing.batch("bad", [*rows(9, 9, amount=-1), rows(3, 1)[0]]))
    assert {r.rule for r in again.rules if not r.passed} == {"range(amount)", "new(id)"}
    assert landing.state.current_snapshot_id == head
    assert branches(landing, landing.use_case.table.name) == ["main"]
