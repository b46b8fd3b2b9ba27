"""What a training under way holds: all that it reads, told apart from versions and from other trainings by name."""

from __future__ import annotations

import pytest

from lakeloop.domain.pins import (
    main_tag,
    pinned_for,
    plan_pins,
    tags_of_other_trainings,
    tags_of_training,
    training_prefix,
)
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import Ref, Snapshot, SnapshotRange


def plan(start: str | None, *read: str) -> Plan:
    return Plan(
        action="append-scan",
        reasons=("new",),
        range=SnapshotRange(table="a.t", table_uuid="u", from_snapshot_id=start, to_snapshot_id=read[-1]),
        snapshots=tuple(Snapshot(snapshot_id=s) for s in read),
    )


@pytest.mark.parametrize(
    ("made", "retained", "expected"),
    [
        (plan("1", "2", "3"), {"1", "2", "3"}, ["1", "2", "3"]),
        (plan("1", "2", "3"), {"2", "3"}, ["2", "3"]),  # the start had expired before
        (plan(None, "1", "2", "3"), {"1", "2", "3"}, ["3"]),  # read whole: only its end
        (plan("0", *map(str, range(1, 201))), {*map(str, range(201))}, sorted(map(str, range(201)))),
        (plan("0", *map(str, range(1, 202))), {*map(str, range(202))}, ["0", "201"]),  # too many: the ends
        (Plan(action="nothing", reasons=("none",)), {"1"}, []),
    ],
)
def test_all_that_is_read_is_pinned(made: Plan, retained: set[str], expected: list[str]) -> None:
    found = plan_pins("cards", "run-1", made, retained)
    assert [p.snapshot_id for p in found] == expected
    assert {p.tag for p in found} == {training_prefix("cards", "run-1") + s for s in expected}


def test_tags_are_told_apart() -> None:
    runs = {
        name: training_prefix(*name) + "77"
        for name in (("cards", "run-1"), ("cards", "run-2"), ("cards_v2", "run-1"))
    }
    refs = [Ref(name=n, kind="tag", snapshot_id="77") for n in (*runs.values(), main_tag("cards", "1"))]
    refs.append(Ref(name=training_prefix("cards", "run-3") + "77", kind="branch", snapshot_id="77"))
    assert tags_of_training(refs, "cards", "run-1") == (runs["cards", "run-1"],)
    assert tags_of_other_trainings(refs, "cards", "run-1") == (runs["cards", "run-2"],)
    assert set(tags_of_other_trainings(refs, "cards", None)) == {
        runs["cards", "run-1"],
        runs["cards", "run-2"],
    }
    assert [pinned_for(tag) for tag in runs.values()] == [None] * 3
