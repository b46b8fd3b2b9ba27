"""Any number of writers of one key, in any order of their steps, some of them killed: main holds the append once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.adapters.spark.staging import Staged, StagingKey, attempts, stage
from lakeloop.domain.errors import LakeloopError

KEY = StagingKey("key", "k", "branch_k")
ROUNDS = 5


class Killed(BaseException):
    """The power is cut for one writer."""


@dataclass(frozen=True)
class Metadata:
    """What a catalog's compare-and-set replaces: snapshot id -> parent and key, and branches."""

    snapshots: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)

    def with_snapshot(self, name: str, parent: str | None, key: str, branch: str) -> Metadata:
        return Metadata({**self.snapshots, name: (parent, key)}, {**self.refs, branch: name})

    def without(self, *branches: str) -> Metadata:
        return replace(self, refs={b: s for b, s in self.refs.items() if b not in branches})

    def main(self) -> list[str]:
        """Keys in main's history, newest first."""
        found, at = list[str](), self.refs.get("main")
        while at is not None:
            at, key = self.snapshots[at]
            found.append(key)
        return found


class Turns:
    """Threads that take one step at a time, in the order that a schedule says."""

    def __init__(self) -> None:
        self.may, self.done = dict[int, threading.Event](), threading.Event()
        self.dead, self.over = set[int](), set[int]()

    def start(self, number: int, body: Callable[[], None]) -> threading.Thread:
        self.may[number] = threading.Event()

        def run() -> None:
            try:
                self.wait(number)
                body()
            except Killed:
                pass
            finally:
                self.over.add(number)
                self.done.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def step(self, number: int) -> None:
        """Let one writer go on until it is about to touch the table again."""
        self.done.clear()
        self.may[number].set()
        assert self.done.wait(10)

    def wait(self, number: int) -> None:
        assert self.may[number].wait(10)
        self.may[number].clear()
        if number in self.dead:
            raise Killed

    def pause(self, number: int) -> None:
        self.done.set()
        self.wait(number)


@dataclass
class Table:
    """The catalog's entry."""

    now: Metadata = field(default_factory=Metadata)
    names: itertools.count[int] = field(default_factory=itertools.count)

    def new_name(self) -> str:
        return f"s{next(self.names)}"


class Refs:
    """Iceberg's branches as one writer sees them: its own copy of the metadata, and commits that retry."""

    def __init__(self, table: Table, pause: Callable[[], None]) -> None:
        self._table, self._pause, self._seen = table, pause, table.now

    def refresh(self) -> None:
        self._pause()
        self._seen = self._table.now

    def head(self, branch: str = "main") -> str | None:
        return self._seen.refs.get(branch)

    def branches(self) -> list[str]:
        return list(self._seen.refs)

    def parent(self, snapshot_id: str) -> str | None:
        return self._seen.snapshots[snapshot_id][0]

    def summary(self, snapshot_id: str) -> Mapping[str, str]:
        return {"key": self._seen.snapshots[snapshot_id][1]}

    def create(self, branch: str) -> None:
        head = self.head()
        self._pause()
        if head is None:
            self._table.now = self._table.now.with_snapshot(self._table.new_name(), None, "", branch)
        else:
            now = self._table.now
            self._table.now = replace(now, refs={**now.refs, branch: head})
        self._seen = self._table.now

    def drop(self, *branches: str) -> None:
        self._pause()
        self._table.now = self._seen = self._table.now.without(*branches)

    def append(self, branch: str, key: str) -> None:
        """As Spark does: on the branch as it is by then, and on main's head where somebody has dropped it."""
        self._pause()
        now = self._table.now
        parent = now.refs.get(branch, now.refs.get("main"))
        self._table.now = now.with_snapshot(self._table.new_name(), parent, key, branch)
        self._pause()

    def publish(self, staged: Staged) -> bool:
        self.refresh()
        base, others = self._seen, attempts(self, KEY)
        if base.refs.get(staged.branch) != staged.snapshot_id or base.refs.get("main") != staged.main:
            return False
        moved = replace(base, refs={**base.refs, "main": staged.snapshot_id}).without(staged.branch, *others)
        self._pause()
        if self._table.now is not base:
            return False
        self._table.now = moved
        return True


def write(table: Table, refs: Refs, ended: Callable[[], None]) -> None:
    """The loop of the publisher and of the feature builder."""
    for _ in range(ROUNDS):
        now = table.now
        if KEY.value in now.main():
            refs.refresh()
            refs.drop(*attempts(refs, KEY))
            return ended()
        staged = stage(refs, KEY, now.refs.get("main"), lambda branch: refs.append(branch, KEY.value))
        if staged is not None and refs.publish(staged):
            return ended()
    raise LakeloopError("main moved too often")


def others(table: Table, refs: Refs) -> None:
    """Somebody else's plain append to main."""
    refs.append("main", "other")


@settings(max_examples=200, deadline=None)
@given(
    schedule=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 19)), max_size=120),
    filled=st.booleans(),
)
def test_once_whatever_the_order_and_whoever_dies(schedule: list[tuple[int, int]], filled: bool) -> None:
    table, turns, ended = Table(), Turns(), list[int]()
    if filled:
        table.now = table.now.with_snapshot(table.new_name(), None, "first", "main")
    bodies: dict[int, Callable[[], None]] = {}
    for number in range(3):
        refs = Refs(table, lambda number=number: turns.pause(number))  # type: ignore[misc]
        bodies[number] = lambda refs=refs, number=number: write(table, refs, lambda: ended.append(number))  # type: ignore[misc]
    stranger = Refs(table, lambda: turns.pause(3))
    bodies[3] = lambda: others(table, stranger)
    threads = [turns.start(number, body) for number, body in bodies.items()]
    for number, fate in schedule:
        if number in turns.over:
            continue
        if fate == 0 and number != 2:
            turns.dead.add(number)
        turns.step(number)
        assert table.now.main().count(KEY.value) <= 1
    for number in bodies:
        while number not in turns.over:
            turns.step(number)
            assert table.now.main().count(KEY.value) <= 1
    for thread in threads:
        thread.join(10)
    assert table.now.main().count(KEY.value) == 1, "the third writer lives"
    assert 2 in ended
    living = {number for number in range(3) if number not in turns.dead}
    assert living <= set(ended)


def test_a_branch_belongs_to_one_key() -> None:
    assert KEY.names(KEY.new_branch())
    assert KEY.names("branch_k"), "as earlier versions named it"
    assert not StagingKey("key", "k", "branch").names(KEY.new_branch())
    assert not KEY.names("branch_k__0123456g")
    assert KEY.new_branch() != KEY.new_branch()
