"""Two live writers of the same batch, or of the same range: whatever one does in the midst of the other, once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.readwriter import DataFrameWriterV2

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.spark.branches import TableRefs
from tests.integration.landing import Landing, rows

pytestmark = pytest.mark.spark

MOMENTS = {
    **{f"it has looked {n} times": (IcebergLake, "table_state", "after", n) for n in (3, 5)},
    "it is about to make its branch": (TableRefs, "create", "before", 1),
    "it has made its branch": (TableRefs, "create", "after", 1),
    "it is about to append": (DataFrameWriterV2, "append", "before", 1),
    "it has appended": (DataFrameWriterV2, "append", "after", 1),
    "it is about to publish": (TableRefs, "publish", "before", 1),
    "its transaction has begun": (TableRefs, "_stage_properties", "before", 1),
}


class Killed(BaseException):
    """SIGKILL, as far as one process can play it."""


@dataclass
class Midst:
    """Lets `act` happen once, in the midst of a call that another writer makes."""

    monkeypatch: pytest.MonkeyPatch

    def interrupt(self, moment: str, act: Callable[[], Any]) -> None:
        owner, name, side, nth = MOMENTS[moment]
        real, calls = getattr(owner, name), itertools.count(1)

        def call(*arguments: Any, **named: Any) -> Any:
            now = next(calls) == nth
            if now and side == "before":
                act()
            result = real(*arguments, **named)
            if now and side == "after":
                act()
            return result

        self.monkeypatch.setattr(owner, name, call)

    def killed_before_publishing(self, act: Callable[[], Any]) -> None:
        def publish(*_: Any, **__: Any) -> bool:
            raise Killed

        with self.monkeypatch.context() as dying, suppress(Killed):
            dying.setattr(TableRefs, "publish", publish)
            act()


@pytest.fixture
def landing(spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path) -> Landing:
    return Landing(spark_lake, fresh_namespace(), tmp_path)


@pytest.fixture
def midst(monkeypatch: pytest.MonkeyPatch) -> Midst:
    return Midst(monkeypatch)


def branches(landing: Landing, table: str) -> list[str]:
    state = landing.spark_lake.lake.table_state(table)
    return [] if state is None else [r.name for r in state.refs if r.name != "main"]


@pytest.mark.parametrize(("earlier", "end"), [(0, "to its end"), (9, "until it is killed")])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_batch_lands_once(landing: Landing, midst: Midst, moment: str, end: str, earlier: int) -> None:
    if earlier:
        landing.land("one", 0, earlier)
    batch = landing.batch("two", rows(earlier, 9))

    def other() -> None:
        if end == "to its end":
            assert landing.publish(batch).outcome in {"published", "already_published"}
        else:
            midst.killed_before_publishing(lambda: landing.publish(batch))

    midst.interrupt(moment, other)
    result = landing.publish(batch)
    assert (result.outcome in {"published", "already_published"}, result.rows) == (True, 9)
    assert landing.ids() == list(range(earlier + 9))
    assert branches(landing, landing.use_case.table.name) == []


@pytest.mark.parametrize(("earlier", "end"), [(True, "to its end"), (False, "until it is killed")])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_range_is_computed_once(
    landing: Landing, midst: Midst, moment: str, end: str, earlier: bool
) -> None:
    landing.land("one", 0, 9)
    if earlier:
        plan = landing.plan()
        landing.build(plan)
        landing.consume(plan)
        landing.land("two", 9, 9)
    plan = landing.plan()

    def other() -> None:
        if end == "to its end":
            landing.build(plan)
        else:
            midst.killed_before_publishing(lambda: landing.build(plan))

    midst.interrupt(moment, other)
    training_set = landing.build(plan)
    ids = list(range(9, 18)) if earlier else list(range(9))
    assert training_set.newest_rows == 9
    table, at = training_set.feature_table, training_set.feature_snapshot_id
    assert landing.column(table, at, "id", (training_set.newest_range_id,)) == ids
    state = landing.spark_lake.lake.table_state(table)
    assert landing.column(table, state.current_snapshot_id, "id") == list(range(18 if earlier else 9))
    assert branches(landing, table) == []
