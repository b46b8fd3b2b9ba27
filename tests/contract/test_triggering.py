"""Triggers over every ledger and every place for runs: each series of commits starts one run, come what may."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.files.run_locks import run_ended
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.adapters.memory.pipelines import MemoryPipelines
from lakeloop.domain.errors import LakeloopError, ServiceAwayError
from lakeloop.domain.ledger import LedgerEvent, event_id
from lakeloop.domain.remote_run import RemoteRun, Submission
from lakeloop.domain.schedule import BySnapshots
from lakeloop.domain.snapshots import Snapshot, SnapshotRange, TableState
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.ledger import Ledger
from lakeloop.ports.submitter import Submitter
from lakeloop.recording import record
from lakeloop.runners.process import RunOptions
from lakeloop.runners.process.submitting import ProcessSubmitter
from lakeloop.settings import Settings
from lakeloop.triggering import Trigger, watch

ECHO = Path(__file__).parents[1] / "golden" / "runner_pipelines" / "exit-handler-good.yaml"
START_MS = 1_767_268_800_000
TABLE = "bank.t"
USE_CASE = UseCase.model_validate(
    {
        "name": "fraud",
        "table": {"name": TABLE, "key": ["id"], "event_time": "at"},
        "source": {"kind": "table"},
        "label": {"column": "fraud"},
        "features": ["amount"],
    }
)
POLICY = BySnapshots(
    kind="snapshots", min_rows=10, quiet_seconds=3, cool_down_seconds=60, longest_wait_seconds=90
)


class Table:
    """A lake of one table, by its metadata."""

    def __init__(self) -> None:
        self.state: TableState | None = None

    def table_state(self, table: str) -> TableState | None:
        assert table == TABLE
        return self.state

    def commit(self, at_ms: int, rows: int = 10) -> None:
        before = self.state.snapshots if self.state else ()
        made = Snapshot(
            snapshot_id=str(3051729675574597004 + len(before)),
            parent_id=before[-1].snapshot_id if before else None,
            sequence_number=len(before) + 1,
            timestamp_ms=at_ms,
            summary={"added-records": str(rows), "total-records": str(rows * (len(before) + 1))},
        )
        self.state = TableState(
            name=TABLE, table_uuid="u", current_snapshot_id=made.snapshot_id, snapshots=(*before, made)
        )

    def consume(self, ledger: Ledger, run_id: str, now_ms: int) -> None:
        """What a run's end leaves in the ledger."""
        assert self.state is not None
        head = self.state.current_snapshot_id or ""
        whole = SnapshotRange(table=TABLE, table_uuid="u", from_snapshot_id=None, to_snapshot_id=head)
        event = LedgerEvent(
            event_id=event_id(run_id, "promoted"),
            use_case="fraud",
            kind="promoted",
            at_ms=now_ms,
            by="run",
            reason="better",
            pipeline_run_id=run_id,
            range=whole,
        )
        record(ledger, event)


@dataclass
class World:
    """A table, a ledger, a place for runs, and a clock that the test moves."""

    open_ledger: Callable[[], Ledger]
    submitter: Submitter
    runs: Callable[[], int]
    table: Table = field(default_factory=Table)
    now_ms: int = START_MS

    def trigger(self, submitter: Any = None, ledger: Any = None) -> Trigger:
        """A new process: what it knows, it knows from the ledger."""
        return Trigger(
            lake=self.table,  # type: ignore[arg-type]
            ledger=ledger or self.open_ledger(),
            submitter=submitter or self.submitter,
            use_case=USE_CASE,
            policy=POLICY,
            submission_for=submission_for,
            by="pod",
            clock=lambda: self.now_ms,
        )

    def after(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    def events(self, kind: str) -> list[LedgerEvent]:
        return [e for e in self.open_ledger().events("fraud") if e.kind == kind]


def submission_for(key: str) -> Submission:
    name = f"fraud-retrain-snapshots-{key}"
    return Submission(name=name, experiment="x", pipeline="echo", arguments={}, keyed=True)


@pytest.fixture(params=["memory-memory", "iceberg-memory", "memory-process"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    ledger_kind, _, place = request.param.partition("-")
    memory, settings = MemoryLedger(), Settings(home=tmp_path)
    open_ledger = (lambda: memory) if ledger_kind == "memory" else (lambda: IcebergLedger(settings))
    if place == "memory":
        pipelines = MemoryPipelines()
        return World(open_ledger, pipelines, lambda: len(pipelines.submissions))
    options = RunOptions(runs_dir=settings.runs_folder, project_root=tmp_path, kill_grace_seconds=0.3)
    submitter = ProcessSubmitter(
        lambda run_id: replace(options, run_id=run_id),
        lambda _: ECHO,
        lambda run_id: run_ended(settings.runs_folder, run_id),
    )
    return World(open_ledger, submitter, lambda: len(list(settings.runs_folder.glob("fraud-*"))))


def burst(world: World, commits: int = 20, seconds: float = 5.0) -> None:
    for _ in range(commits):
        world.table.commit(world.now_ms)
        world.after(seconds / commits)


def end(world: World, state: str = "succeeded") -> None:
    """The run of the last submission ends; a process run has ended by itself."""
    if isinstance(world.submitter, MemoryPipelines):
        world.submitter.end(world.events("submitted")[-1].pipeline_run_id, state)  # type: ignore[arg-type]


def test_twenty_commits_in_five_seconds_start_one_run(world: World) -> None:
    trigger, actions = world.trigger(), []
    for _ in range(20):
        world.table.commit(world.now_ms)
        actions.append(trigger.look().action)
        world.after(0.25)
    assert set(actions) == {"wait"}
    world.after(3)
    assert trigger.look().action == "start"
    assert world.runs() == 1
    (started,) = world.events("submitted")
    assert started.range is not None
    assert started.range.to_snapshot_id == str(3051729675574597004 + 19)
    world.table.consume(world.open_ledger(), started.pipeline_run_id, world.now_ms)
    end(world)
    world.after(3600)
    assert [trigger.look().action for _ in range(3)] == ["idle"] * 3
    assert world.runs() == 1


def test_a_restart_at_any_moment_starts_nothing_twice(world: World) -> None:
    burst(world)
    world.after(5)
    for _ in range(5):
        world.trigger().look()
        world.after(1)
    assert world.runs() == 1
    assert len(world.events("triggered")) == 1


def test_two_triggers_at_once_start_one_run(world: World) -> None:
    burst(world)
    world.after(5)
    barrier, failures = threading.Barrier(4, timeout=30), list[Exception]()

    def look() -> None:
        trigger = world.trigger()
        barrier.wait()
        try:
            trigger.look()
        except Exception as error:  # noqa: BLE001 - told by the assertion
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert (world.runs(), len(world.events("submitted"))) == (1, 1)


class Dying:
    """A place for runs whose caller dies right before, or right after, the run is started."""

    def __init__(self, place: Submitter, *, after: bool) -> None:
        self._place, self._after = place, after

    def start(self, submission: Submission) -> str:
        if self._after:
            self._place.start(submission)
        raise SystemExit("killed")

    def ended(self, run_id: str) -> bool:
        return self._place.ended(run_id)


@pytest.mark.parametrize("after", [False, True])
def test_a_trigger_that_dies_while_it_starts_a_run_is_followed_after_its_lease(
    world: World, after: bool
) -> None:
    burst(world)
    world.after(5)
    with pytest.raises(SystemExit):
        world.trigger(Dying(world.submitter, after=after)).look()
    assert world.trigger().look().action == "wait"
    world.after(300)
    assert world.trigger().look().action == "recover"
    assert world.runs() == 1
    assert len(world.events("submitted")) == 1


class Silent(Exception):  # noqa: N818 - the death of a process
    pass


def test_a_trigger_that_dies_before_it_recorded_the_run_starts_it_not_again(world: World) -> None:
    class LosesItsLedger:
        def __init__(self, ledger: Ledger) -> None:
            self._ledger, self._appends = ledger, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ledger, name)

        def append(self, event: LedgerEvent, head: str | None) -> str:
            if event.kind == "submitted":
                raise Silent
            return self._ledger.append(event, head)

    burst(world)
    world.after(5)
    with pytest.raises(Silent):
        world.trigger(ledger=LosesItsLedger(world.open_ledger())).look()
    assert world.runs() == 1
    world.after(300)
    assert world.trigger().look().action == "recover"
    assert world.runs() == 1


def test_one_run_at_a_time_then_the_next_increment(world: World) -> None:
    trigger = world.trigger()
    burst(world)
    world.after(5)
    trigger.look()
    first = world.events("submitted")[-1].pipeline_run_id
    world.table.consume(world.open_ledger(), first, world.now_ms)
    burst(world, commits=3, seconds=1)
    world.after(5)
    assert trigger.look().action == "wait"  # cooling down
    end(world)
    world.after(60)
    assert trigger.look().action == "start"
    assert world.runs() == 2


def test_too_few_rows_wait_for_more(world: World) -> None:
    world.table.commit(world.now_ms, rows=4)
    world.after(3600)
    assert world.trigger().look().action == "idle"
    world.table.commit(world.now_ms, rows=6)
    world.after(5)
    assert world.trigger().look().action == "start"


def test_a_run_that_broke_is_tried_again_a_bounded_number_of_times(world: World) -> None:
    burst(world)
    world.after(5)
    trigger = world.trigger()
    for _ in range(10):
        trigger.look()
        if world.events("submitted"):
            end(world, "failed")
        world.after(120)
    assert world.runs() == POLICY.attempts
    assert "came to no outcome" in trigger.look().reason


def test_a_place_that_is_away_is_asked_again() -> None:
    class Away(MemoryPipelines):
        def start(self, submission: Submission) -> str:  # noqa: ARG002 - the port's signature
            raise ServiceAwayError("no connection")

    memory = MemoryLedger()
    pipelines = MemoryPipelines()
    world = World(lambda: memory, pipelines, lambda: len(pipelines.submissions))
    burst(world)
    world.after(5)
    with pytest.raises(LakeloopError, match="no connection"):
        world.trigger(Away()).look()
    world.after(300)
    assert world.trigger().look().action == "recover"
    assert world.runs() == 1


def test_the_watch_tells_changes_once_survives_failures_and_ends_when_told() -> None:
    memory, stop, told = MemoryLedger(), threading.Event(), list[str]()
    runs = list[RemoteRun]()
    pipelines = MemoryPipelines(runs.append)
    world = World(lambda: memory, pipelines, lambda: len(runs))
    looks = iter(range(100))

    def alive() -> None:
        look = next(looks)
        if look == 2:
            burst(world)
        if look == 9:
            stop.set()
        world.after(2)

    class Flaky(Table):
        calls = 0

        def table_state(self, table: str) -> TableState | None:
            self.calls += 1
            if self.calls == 2:
                raise LakeloopError("the catalog does not answer")
            return super().table_state(table)

    world.table = Flaky()
    watch([world.trigger()], 0.001, stop, told.append, alive)
    assert len(runs) == 1
    assert [line.split(":")[1].strip() for line in told] == [
        "idle",
        "failed, tried again",
        "idle",
        "wait",
        "start",
        "wait",
    ]
