"""What main holds, when snapshots have expired, were rolled back, or are pinned by a tag."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.domain.batch import BATCH_ID_PROPERTY, BATCH_NUMBER_PROPERTY
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.published_batches import (
    MOST_OPEN_RECORDS,
    RECORD_PREFIX,
    SINCE_PROPERTY,
    BatchRecord,
    knows_every_batch,
    landed_batches,
    open_records,
    overflowing,
    record_of,
    record_properties,
    unrecorded,
)
from lakeloop.domain.snapshots import Snapshot, TableState


class Table:
    """A table as publisher, maintenance and operators change it; `truth` is what main really holds."""

    def __init__(self) -> None:
        self.state = TableState(name="a.t", table_uuid="u")
        self.kept: list[BatchRecord] = []
        self.truths: dict[str | None, frozenset[str]] = {None: frozenset()}
        self._ids = itertools.count(1)

    @property
    def truth(self) -> frozenset[str]:
        return self.truths[self.state.current_snapshot_id]

    @property
    def landed(self) -> set[str]:
        return set(landed_batches(self.state, self.kept))

    def publish(self, batch_id: str) -> None:
        """As the publisher does it: the record in the commit of the rows, an overflow moved before."""
        moving = overflowing(self.state)
        self.kept += [*moving, *unrecorded(self.state)]
        snapshot = self._commit({BATCH_ID_PROPERTY: batch_id, BATCH_NUMBER_PROPERTY: "1"}, {batch_id})
        before = self.state
        self._change(snapshot)
        record = record_of(self.state, snapshot)
        assert record is not None
        gone = {RECORD_PREFIX + r.batch_id for r in moving}
        properties = {k: v for k, v in before.properties.items() if k not in gone}
        changed = {**properties, **record_properties(before, record)}
        self.state = self.state.model_copy(update={"properties": changed})

    def append_by_others(self) -> None:
        self._change(self._commit({}, set()))

    def roll_back(self, steps: int) -> None:
        """To a retained ancestor of main, as Iceberg allows."""
        by_id = {s.snapshot_id: s for s in self.state.snapshots}
        at = self.state.current_snapshot_id
        for _ in range(steps):
            parent = by_id[at].parent_id if at else None
            if parent not in by_id:
                break
            at = parent
        self.state = self.state.model_copy(update={"current_snapshot_id": at})

    def expire(self, ids: set[str]) -> None:
        """Any snapshots but main's head."""
        gone = ids - {self.state.current_snapshot_id}
        left = tuple(s for s in self.state.snapshots if s.snapshot_id not in gone)
        self.state = self.state.model_copy(update={"snapshots": left})

    def _commit(self, summary: dict[str, str], batches: set[str]) -> Snapshot:
        number = next(self._ids)
        self.truths[str(number)] = self.truth | batches
        head = self.state.current_snapshot_id
        return Snapshot(
            snapshot_id=str(number),
            parent_id=head,
            sequence_number=number,
            timestamp_ms=number,
            summary=summary,
        )

    def _change(self, snapshot: Snapshot) -> None:
        snapshots = (*self.state.snapshots, snapshot)
        self.state = self.state.model_copy(
            update={"snapshots": snapshots, "current_snapshot_id": snapshot.snapshot_id}
        )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 5)),
        st.tuples(st.just("others"), st.just(0)),
        st.tuples(st.just("roll back"), st.integers(1, 3)),
        st.tuples(st.just("expire"), st.integers(0, 2**12 - 1)),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_history_lands_a_batch_twice(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in between, a batch that main holds is found, and is not published again."""
    table = Table()
    for kind, value in steps:
        if kind == "publish" and f"b{value}" not in table.landed:
            assert f"b{value}" not in table.truth
            table.publish(f"b{value}")
        elif kind == "others":
            table.append_by_others()
        elif kind == "roll back":
            table.roll_back(value)
        elif kind == "expire":
            ids = [s.snapshot_id for s in table.state.snapshots]
            table.expire({id_ for i, id_ in enumerate(ids) if value >> (i % 12) & 1})
        assert table.truth <= table.landed


def published(*batch_ids: str) -> Table:
    table = Table()
    for batch_id in batch_ids:
        table.publish(batch_id)
    return table


def test_a_batch_is_found_after_its_snapshot_has_expired() -> None:
    table = published("a", "b", "c")
    table.expire({"1", "2", "3"})
    assert table.landed == {"a", "b", "c"}
    assert knows_every_batch(table.state)


def test_a_rolled_back_batch_may_land_again_and_a_pinned_one_may_not() -> None:
    table = published("a", "b", "c", "d")
    table.expire({"1", "3"})  # "b" is pinned by a tag, its neighbours have expired
    assert table.landed == {"a", "b", "c", "d"}
    table.publish("e")
    table.roll_back(1)
    assert table.landed == {"a", "b", "c", "d"}
    table.expire({"5"})
    assert "e" not in table.landed


def test_a_rolled_back_batch_is_known_as_such_by_the_recorded_parents() -> None:
    table = published("a", "b")
    table.roll_back(1)
    table.publish("c")
    table.expire({"1", "2"})
    assert table.landed == {"a", "c"}


def test_a_table_made_anew_under_the_same_name_holds_nothing() -> None:
    table = published("a", "b")
    table.expire({"1"})
    again = table.state.model_copy(update={"table_uuid": "other"})
    assert set(landed_batches(again, table.kept)) == {"b"}


def test_the_properties_stay_small_and_nothing_is_forgotten() -> None:
    table = Table()
    names = [f"b{i}" for i in range(3 * MOST_OPEN_RECORDS)]
    for name in names:
        table.publish(name)
        assert len(open_records(table.state)) <= MOST_OPEN_RECORDS
    table.expire({s.snapshot_id for s in table.state.snapshots})
    assert table.landed == set(names)
    assert len(table.kept) == 2 * MOST_OPEN_RECORDS


def test_batches_from_before_there_were_records_are_recorded_with_the_next_one() -> None:
    table = published("a", "b")
    table.state = table.state.model_copy(update={"properties": {}})
    assert {r.batch_id for r in unrecorded(table.state)} == {"a", "b"}
    table.publish("c")
    table.expire({"1", "2"})
    assert table.landed == {"a", "b", "c"}
    assert table.state.properties[SINCE_PROPERTY] == "start"


def test_a_first_record_in_a_cut_off_history_does_not_claim_to_know_all() -> None:
    table = published("a", "b")
    table.state = table.state.model_copy(update={"properties": {}})
    table.expire({"1"})
    table.publish("c")
    assert not knows_every_batch(table.state)


def test_a_damaged_record_is_named() -> None:
    table = published("a", "b")
    table.expire({"1"})
    damaged = {**table.state.properties, RECORD_PREFIX + "a": "{"}
    with pytest.raises(LakeloopError, match="record of a published batch cannot be read"):
        landed_batches(table.state.model_copy(update={"properties": damaged}))
