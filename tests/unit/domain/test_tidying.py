"""What tidying may take: laws over random tables, and the cases that look like litter and are none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.domain.snapshots import Move, Ref, Snapshot, TableState, ancestry
from lakeloop.domain.tidying import (
    StoredFile,
    StoredFolder,
    TableFiles,
    dead_branches,
    dead_snapshots,
    old_runs,
    orphan_files,
    reachable,
    staged_batches,
)

NAMES = ["main", "lakeloop_batch_a", "lakeloop_batch_b", "lakeloop_range_c", "dev", "lakeloop_m_v1", "audit"]


@st.composite
def tables(draw: st.DrawFn) -> TableState:
    """Any tree of commits with any refs; some commits staged by lakeloop, some once main's, some expired."""
    count = draw(st.integers(1, 12))
    parents = [None, *(str(draw(st.integers(0, i - 1))) for i in range(1, count))]
    staged = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    gone = draw(st.sets(st.integers(0, count - 1), max_size=4))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    heads = {name: draw(st.integers(0, count - 1)) for name in names}
    refs = [
        Ref(name=n, kind="tag" if n in {"lakeloop_m_v1", "audit"} else "branch", snapshot_id=str(at))
        for n, at in heads.items()
    ]
    kept = [i for i in range(count) if i not in gone or i in heads.values()]
    return TableState(
        name="a.t",
        table_uuid="u",
        current_snapshot_id=str(heads["main"]) if "main" in heads else None,
        refs=tuple(refs),
        log=tuple(Move(at_ms=i, snapshot_id=str(i)) for i in draw(st.sets(st.sampled_from(range(count))))),
        snapshots=tuple(
            Snapshot(
                snapshot_id=str(i),
                parent_id=parents[i],
                timestamp_ms=10 * i,
                summary={"lakeloop.batch-id": f"b{i}"} if staged[i] else {},
            )
            for i in kept
        ),
    )


@settings(max_examples=400, deadline=None)
@given(tables(), tables(), st.integers(0, 130))
def test_nothing_that_a_ref_reaches_is_removed(state: TableState, then: TableState, cutoff_ms: int) -> None:
    branches, _ = dead_branches(state, then, cutoff_ms)
    dropped = {r.name for r in branches}
    assert all(name.startswith(("lakeloop_batch_", "lakeloop_range_")) for name in dropped)
    after = state.model_copy(update={"refs": tuple(r for r in state.refs if r.name not in dropped)})
    gone = {r.name for r in dead_snapshots(state, dropped, cutoff_ms)}
    assert not gone & reachable(after)
    by_id = {s.snapshot_id: s for s in state.snapshots}
    assert all(by_id[id_].timestamp_ms <= cutoff_ms for id_ in gone)
    left = after.model_copy(
        update={"snapshots": tuple(s for s in state.snapshots if s.snapshot_id not in gone)}
    )
    for ref in after.refs:
        assert ancestry(left, ref.snapshot_id) == ancestry(after, ref.snapshot_id)


def attempt(*, staged: bool, at_ms: int = 50) -> TableState:
    """Main at an old commit, and an attempt's branch: at main's head, or with a staged commit."""
    snapshots = [Snapshot(snapshot_id="1", timestamp_ms=1)]
    snapshots += [
        Snapshot(snapshot_id="2", parent_id="1", timestamp_ms=at_ms, summary={"lakeloop.batch-id": "a"})
    ] * staged
    branch = Ref(name="lakeloop_batch_a", kind="branch", snapshot_id="2" if staged else "1")
    main = Ref(name="main", kind="branch", snapshot_id="1")
    return TableState(
        name="a.t", table_uuid="u", current_snapshot_id="1", snapshots=tuple(snapshots), refs=(branch, main)
    )


def test_an_empty_branch_on_an_old_head_may_be_a_second_old() -> None:
    state = attempt(staged=False)
    removals, left = dead_branches(state, None, 1000)
    assert (removals, [item.place for item in left]) == ([], ["a.t branch lakeloop_batch_a"])
    before_it = state.model_copy(update={"refs": state.refs[1:]})
    assert dead_branches(state, before_it, 1000)[0] == []
    assert [r.name for r in dead_branches(state, state, 1000)[0]] == ["lakeloop_batch_a"]
    other_table = state.model_copy(update={"table_uuid": "other"})
    assert dead_branches(state, other_table, 1000)[0] == []


def test_a_staged_batch_goes_with_its_branch_once_it_is_old() -> None:
    state = attempt(staged=True)
    assert dead_branches(state, None, 49)[0] == []
    branches, _ = dead_branches(state, None, 50)
    assert [(r.name, r.snapshot_id) for r in branches] == [("lakeloop_batch_a", "2")]
    assert dead_snapshots(state, [], 50) == []
    assert [r.name for r in dead_snapshots(state, ["lakeloop_batch_a"], 50)] == ["2"]
    rolled_back = state.model_copy(update={"log": (Move(at_ms=50, snapshot_id="2"),)})
    assert dead_snapshots(rolled_back, ["lakeloop_batch_a"], 50) == []


def files(**changes: object) -> TableFiles:
    stored = tuple(
        StoredFile(path=f"/t/data/{n}", size=5, modified_ms=at) for n, at in (("a", 1), ("b", 1), ("c", 9))
    )
    named = frozenset({"/t/data/a"})
    return TableFiles(table="a.t", stored=stored, referenced=named, live=named).model_copy(update=changes)


def test_only_old_files_that_nothing_names_go() -> None:
    removals, left = orphan_files(files(), 5)
    assert ([(r.name, r.bytes) for r in removals], left) == ([("/t/data/b", 5)], [])


def test_checksums_go_with_their_file_and_other_hidden_files_stay() -> None:
    names = ["a", ".a.crc", "b", ".b.crc", ".gone.crc", ".hidden", "_SUCCESS", "_range_id=1/x"]
    stored = tuple(StoredFile(path=f"/t/data/{n}", size=1, modified_ms=1) for n in names)
    gone = [r.name.removeprefix("/t/data/") for r in orphan_files(files(stored=stored), 5)[0]]
    assert gone == ["b", ".b.crc", ".gone.crc", "_range_id=1/x"]


def test_when_paths_do_not_compare_nothing_goes() -> None:
    for odd in (files(live=frozenset({"/link/data/a"})), files(obstacle="table b.t lies at the same place")):
        removals, left = orphan_files(odd, 5)
        assert (removals, len(left)) == ([], 1)
    expired = files(referenced=frozenset({"/t/data/a", "/t/data/deleted long ago"}))
    assert [r.name for r in orphan_files(expired, 5)[0]] == ["/t/data/b"]


def test_staged_files_go_once_the_batch_has_landed_and_runs_once_they_ended() -> None:
    folders = [StoredFolder(name=n, modified_ms=at) for n, at in (("a", 1), ("b", 1), ("c", 9))]
    assert [r.name for r in staged_batches("m", folders, {"a", "c"}, 5)] == ["a"]
    assert [r.name for r in old_runs("run_folder", folders, lambda run: run == "a", 5)] == ["b"]
