"""Claims over every ledger: competing runs, takeovers, renewals, and what the loser is told."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloop.adapters.files.run_locks import run_ended
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.claiming import Claimant
from lakeloop.domain.claims import current_claim
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.ledger import LedgerEvent, event_id, watermark
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.ports.ledger import Ledger
from lakeloop.recording import record
from lakeloop.settings import Settings

Opener = Callable[[], Ledger]
RANGE = SnapshotRange(
    table="bank.t", table_uuid="u", from_snapshot_id=None, to_snapshot_id="3051729675574597004"
)
START_MS = 1_767_268_800_000


@pytest.fixture(params=["iceberg", "memory"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Each call is another client of the same ledger."""
    memory = MemoryLedger()
    settings = Settings(home=tmp_path)
    return (lambda: memory) if request.param == "memory" else (lambda: IcebergLedger(settings))


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


def claimant(ledger: Ledger, owner: str, clock: Callable[[], int], **options: object) -> Claimant:
    values = {"lease_seconds": 3600.0, "skew_seconds": 60.0, "clock": clock} | options
    return Claimant(ledger, "fraud", owner, f"{owner}@laptop", **values)  # type: ignore[arg-type]


def ended(kind: str, owner: str, range_: SnapshotRange | None = RANGE) -> LedgerEvent:
    return LedgerEvent(
        event_id=event_id(owner, kind),  # type: ignore[arg-type]
        use_case="fraud",
        kind=kind,  # type: ignore[arg-type]
        at_ms=START_MS,
        by="ana",
        reason="",
        pipeline_run_id=owner,
        range=range_,
        model_version="7",
    )


def test_of_runs_that_start_together_one_trains_and_the_others_are_told_by_whom(open_ledger: Opener) -> None:
    clock, start, outcomes = Clock(), threading.Barrier(3), list[str]()

    def compete(number: int) -> None:
        mine = claimant(open_ledger(), f"run-{number}", clock)
        start.wait(timeout=30)
        try:
            mine.claim(RANGE, "training")
            outcomes.append(f"run-{number}")
        except ConflictError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=compete, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    holder = current_claim(open_ledger().events("fraud", documents=False))
    assert holder is not None
    assert holder.range == RANGE
    told = [text for text in outcomes if text != holder.owner]
    assert len(told) == 2
    for text in told:
        assert (
            f"{holder.owner} ({holder.owner}@laptop) trains on snapshots up to {RANGE.to_snapshot_id}" in text
        )
        assert "since 2026-01-01 12:00:00 UTC" in text
        assert "until 2026-01-01 13:00:00 UTC" in text
        assert "free from 2026-01-01 13:01:00 UTC" in text


def test_a_retry_and_each_later_step_of_a_run_find_its_claim_and_renew_it_late(open_ledger: Opener) -> None:
    clock = Clock()
    for minutes, claims in ((0, 1), (10, 1), (31, 2), (32, 2)):
        clock.ms = START_MS + minutes * 60_000
        claimant(open_ledger(), "run-a", clock).claim(RANGE, "training", document='{"action": "rebuild"}')
        events = open_ledger().events("fraud")
        assert len(events) == claims
    assert current_claim(events).until_ms == START_MS + (31 + 60) * 60_000  # type: ignore[union-attr]
    assert events[0].document == '{"action": "rebuild"}'


def test_a_dead_owner_is_taken_over_after_its_lease_and_cannot_come_back(open_ledger: Opener) -> None:
    clock, told = Clock(), list[str]()
    dead, heir = (
        claimant(open_ledger(), "run-a", clock),
        claimant(open_ledger(), "run-b", clock, tell=told.append),
    )
    dead.claim(RANGE, "training")
    clock.ms += 3_600_000 + 59_999
    with pytest.raises(ConflictError):
        heir.claim(RANGE, "training")
    clock.ms += 1
    heir.claim(RANGE, "training")
    assert "taken over from run-a (run-a@laptop)" in told[0]
    assert open_ledger().events("fraud")[-1].reason == told[0]
    with pytest.raises(ConflictError, match="run-b") as refused:
        dead.claim(RANGE, "promoting")
    assert refused.value.exit_code == 3
    record(open_ledger(), ended("promoted", "run-b"))
    with pytest.raises(ConflictError, match=r"run-b has trained on snapshots up to .* \(promoted, version 7"):
        dead.claim(RANGE, "promoting")


def test_what_a_lost_claim_recorded_would_move_is_not_recorded(open_ledger: Opener) -> None:
    clock = Clock()
    mine = claimant(open_ledger(), "run-a", clock)
    mine.claim(RANGE, "training")
    claimant(open_ledger(), "run-b", clock, yields=True).claim(RANGE, "training")
    with pytest.raises(ConflictError, match="not valid any more"):
        record(open_ledger(), ended("promoted", "run-a"), still_valid=mine.holds)
    assert watermark(open_ledger().events("fraud")) is None


def test_a_failed_run_releases_what_it_holds_and_nothing_else(open_ledger: Opener) -> None:
    clock = Clock()
    mine, other = claimant(open_ledger(), "run-a", clock), claimant(open_ledger(), "run-b", clock)
    mine.claim(RANGE, "training")
    assert not other.release("failed")
    assert mine.release("failed")
    assert not mine.release("failed")
    other.claim(RANGE, "training")
    assert [e.kind for e in open_ledger().events("fraud")] == ["claimed", "released", "claimed"]


def test_a_plan_that_another_run_outdated_is_not_claimed(open_ledger: Opener) -> None:
    planned = watermark(open_ledger().events("fraud"))
    record(open_ledger(), ended("promoted", "run-b"))
    with pytest.raises(ConflictError, match="plan is out of date"):
        claimant(open_ledger(), "run-a", Clock()).claim(
            RANGE, "training", still=lambda events: watermark(events) == planned
        )
    assert [e.kind for e in open_ledger().events("fraud")] == ["promoted"]


def test_a_long_step_keeps_its_claim_and_stops_when_its_run_has_ended() -> None:
    ledger = MemoryLedger()
    mine = Claimant(ledger, "fraud", "run-a", "ana", lease_seconds=0.3)
    with mine.holding(RANGE, "training"):
        deadline = time.monotonic() + 10
        while len(ledger.events("fraud")) < 4 and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        record(ledger, ended("rejected", "run-a"))
        threading.Event().wait(0.3)
    kinds = [e.kind for e in ledger.events("fraud")]
    assert kinds[:4] == ["claimed"] * 4
    assert kinds[-1] == "rejected"


def test_a_run_of_this_machine_that_died_is_taken_over_at_once(tmp_path: Path) -> None:
    ledger, clock, lock = MemoryLedger(), Clock(), tmp_path / "run-a" / "lock"
    lock.parent.mkdir()
    next_run = claimant(ledger, "run-b", clock, ended=lambda owner: run_ended(tmp_path, owner))
    claimant(ledger, "run-a", clock).claim(RANGE, "training")
    with pytest.raises(ConflictError):
        next_run.claim(RANGE, "training")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConflictError):
            next_run.claim(RANGE, "training")
    next_run.claim(RANGE, "training")
    assert current_claim(ledger.events("fraud")).owner == "run-b"  # type: ignore[union-attr]
    assert not run_ended(tmp_path, "../run-a")


def test_an_iceberg_ledger_of_an_earlier_version_gets_the_column_of_leases(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ledger = IcebergLedger(settings)
    record(ledger, ended("promoted", "run-z"))
    from lakeloop.adapters.iceberg.lake import IcebergLake
    from lakeloop.adapters.iceberg.ledger import LEDGER_TABLE

    table = IcebergLake(settings).find(LEDGER_TABLE)
    assert table is not None
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("lease_until_ms")
    claimant(IcebergLedger(settings), "run-a", Clock()).claim(RANGE, "training")
    events = IcebergLedger(settings).events("fraud")
    assert [e.lease_until_ms for e in events] == [None, START_MS + 3_600_000]
