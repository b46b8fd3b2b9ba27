"""Which snapshot a time, an id or a ref names, and what main pointed at."""

from __future__ import annotations

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.domain.snapshots import Column, Move, Ref, Snapshot, TableState
from lakeloop.domain.table_diff import ColumnStatistics, compare_columns, shared_columns
from lakeloop.domain.time_travel import main_moves, moment, snapshot_named

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z
IDS = [f"305172967557459700{i}" for i in range(5)]


def table(*, expired: int = 0) -> TableState:
    """Five commits, a minute apart; a rollback to the second, then the fifth upon it."""
    parents = [None, IDS[0], IDS[1], IDS[2], IDS[1]]
    snapshots = [
        Snapshot(snapshot_id=id_, parent_id=parent, timestamp_ms=NOON + 60_000 * i, sequence_number=i + 1)
        for i, (id_, parent) in enumerate(zip(IDS, parents, strict=True))
    ]
    order = [(0, IDS[0]), (1, IDS[1]), (2, IDS[2]), (3, IDS[3]), (3.5, IDS[1]), (4, IDS[4])]
    log = [Move(at_ms=NOON + int(60_000 * at), snapshot_id=id_) for at, id_ in order]
    gone = set(IDS[:expired])
    return TableState(
        name="a.t",
        table_uuid="u",
        current_snapshot_id=IDS[4],
        snapshots=tuple(s for s in snapshots if s.snapshot_id not in gone),
        log=tuple(m for m in log if m.snapshot_id not in gone),
        refs=(
            Ref(name="lakeloop_m_v1", kind="tag", snapshot_id=IDS[3]),
            Ref(name="main", kind="branch", snapshot_id=IDS[4]),
        ),
    )


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (None, 4),
        ("main", 4),
        ("lakeloop_m_v1", 3),
        (IDS[2], 2),
        ("2026-01-31T12:00", 0),
        ("2026-01-31T12:00:59.999Z", 0),
        ("2026-01-31T13:01:00+01:00", 1),
        (str(NOON + 180_000), 3),
        ("2026-01-31T12:03:45", 1),  # after the rollback, before the next commit
        ("2030-01-01", 4),
    ],
)
def test_what_a_person_writes_names_one_snapshot(text: str | None, index: int) -> None:
    assert snapshot_named(table(), text).snapshot_id == IDS[index]


@pytest.mark.parametrize(
    ("text", "expired", "told"),
    [
        ("2026-01-31", 0, f"no snapshot yet at 2026-01-31T00:00:00Z -> its first is {IDS[0]}"),
        ("2026-01-31T12:00", 2, f"has expired -> the oldest snapshot left is {IDS[2]}"),
        (IDS[1], 2, f"snapshot {IDS[1]} has expired"),
        (IDS[2][:-1] + "9", 0, f"no snapshot {IDS[2][:-1]}9 -> nearest: 30517"),
        ("lakeloop_m_v2", 0, "no branch, tag, snapshot id or time -> .* lakeloop_m_v1"),
        ("yesterday", 0, "no branch, tag, snapshot id or time"),
    ],
)
def test_what_names_nothing_is_told_with_the_nearest(text: str, expired: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        snapshot_named(table(expired=expired), text)


def test_an_empty_table_says_so() -> None:
    with pytest.raises(UserError, match="no snapshot yet"):
        snapshot_named(TableState(name="a.t", table_uuid="u"), None)
    with pytest.raises(UserError, match="no snapshot yet"):
        snapshot_named(TableState(name="a.t", table_uuid="u"), "2026-01-31")


def test_the_history_of_main_tells_rollbacks() -> None:
    moves = main_moves(table())
    assert [m.step for m in moves] == ["first", "commit", "commit", "commit", "rollback", "commit"]
    assert [m.is_ancestor for m in moves] == [True, True, False, False, True, True]


def test_moments_are_read_back_as_they_are_told() -> None:
    for at_ms in (NOON, NOON + 1, NOON + 60_250):
        state = table().model_copy(update={"log": (Move(at_ms=at_ms, snapshot_id=IDS[0]),)})
        assert snapshot_named(state, moment(at_ms)).snapshot_id == IDS[0]
        with pytest.raises(UserError):
            snapshot_named(state, moment(at_ms - 1))


def test_columns_are_compared_by_field_id() -> None:
    old = [Column(field_id=1, name="id", type="int"), Column(field_id=2, name="gone", type="string")]
    new = [Column(field_id=1, name="key", type="long"), Column(field_id=3, name="come", type="double")]
    was = [ColumnStatistics(name="id", count=2, nulls=0), ColumnStatistics(name="gone", count=1, nulls=1)]
    now = [ColumnStatistics(name="key", count=2, nulls=1), ColumnStatistics(name="come", count=3, nulls=0)]
    assert shared_columns(old, new) == ("key",)
    key, come, gone = compare_columns((old, new), (was, now))
    assert (key.renamed_from, key.changed) == ("id", ("type", "nulls"))
    assert (come.before, come.type_after, gone.after, gone.type_before) == (None, "double", None, "string")
