"""The in-process engine dies before or after each of its commits, or meets another writer there: rows land once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
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


def test_a_refused_batch_leaves_nothing_on_main(landing: Landing) -> None:
    refused = landing.publish(landing.batch("bad", rows(0, 9, amount=-1)))
    assert (refused.outcome, landing.state) == ("refused", None), "a refused first batch leaves no table"
    landing.land("one", 0, 9)
    head = landing.state.current_snapshot_id
    again = landing.publish(landing.batch("bad", [*rows(9, 9, amount=-1), rows(3, 1)[0]]))
    assert {r.rule for r in again.rules if not r.passed} == {"range(amount)", "new(id)"}
    assert landing.state.current_snapshot_id == head
    assert branches(landing, landing.use_case.table.name) == ["main"]
