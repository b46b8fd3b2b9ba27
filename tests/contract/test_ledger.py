"""One suite for every Ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.ledger import LEDGER_TABLE, IcebergLedger
from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id, watermark
from lakeloop.domain.plan import Watermark
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.ports.ledger import Ledger
from lakeloop.recording import record
from lakeloop.settings import Settings

Opener = Callable[[], Ledger]


@pytest.fixture(params=["iceberg", "memory"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Each call is another client of the same ledger."""
    memory = MemoryLedger()
    settings = Settings(home=tmp_path)
    return (lambda: memory) if request.param == "memory" else (lambda: IcebergLedger(settings))


def event(subject: str, kind: EventKind = "promoted", use_case: str = "fraud") -> LedgerEvent:
    return LedgerEvent(
        event_id=event_id(subject, kind),
        use_case=use_case,
        kind=kind,
        at_ms=1_767_268_800_123,
        by="ana@laptop",
        reason="better by 0.01, sì",
        pipeline_run_id="run-1",
        run_key=subject,
        range=SnapshotRange(
            table="bank.t",
            table_uuid="u-1",
            from_snapshot_id=None,
            to_snapshot_id=f"305172967557459700{len(subject)}",
        ),
        schema_id=3,
        columns=((1, "id", "long"), (2, "amount", "double")),
        model_version="7",
        document='{"accepted": true}',
    )


def test_an_empty_ledger_has_no_head_and_no_events(open_ledger: Opener) -> None:
    assert open_ledger().head() is None
    assert open_ledger().events("fraud") == []


def test_events_come_back_whole_in_order_and_by_use_case(open_ledger: Opener) -> None:
    first, other = event("a", "rejected"), event("b", use_case="towers")
    last = event("cc").model_copy(
        update={"range": None, "columns": (), "schema_id": None, "model_version": None}
    )
    head = None
    for one in (first, other, last):
        head = open_ledger().append(one, head)
    assert open_ledger().head() == head
    assert open_ledger().events("fraud") == [first, last]
    assert open_ledger().events("towers") == [other]
    without = [e.model_copy(update={"document": ""}) for e in (first, last)]
    assert open_ledger().events("fraud", documents=False) == without


def test_the_same_event_again_changes_nothing_however_old_the_head_it_names(open_ledger: Opener) -> None:
    head = open_ledger().append(event("a"), None)
    later = open_ledger().append(event("b"), head)
    assert open_ledger().append(event("a"), None) == later
    assert len(open_ledger().events("fraud")) == 2


def test_an_append_on_a_stale_head_is_refused(open_ledger: Opener) -> None:
    head = open_ledger().append(event("a"), None)
    for stale in (None, "77"):
        with pytest.raises(ConflictError, match="head"):
            open_ledger().append(event("b"), stale)
    assert open_ledger().head() == head
    assert open_ledger().events("fraud") == [event("a")]


@pytest.mark.parametrize("before", [0, 1])
def test_of_concurrent_appends_on_one_head_exactly_one_wins(open_ledger: Opener, before: int) -> None:
    head = record(open_ledger(), event("first")) if before else None
    clients = [open_ledger() for _ in range(4)]
    start, outcomes = threading.Barrier(len(clients)), list[str]()

    def compete(number: int) -> None:
        start.wait(timeout=30)
        try:
            clients[number].append(event(f"run-{number}"), head)
            outcomes.append("won")
        except ConflictError:
            outcomes.append("told")

    threads = [threading.Thread(target=compete, args=(n,)) for n in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcomes) == ["told", "told", "told", "won"]
    assert len(open_ledger().events("fraud")) == before + 1


def test_recorders_that_compete_are_all_recorded_once(open_ledger: Opener) -> None:
    def run(number: int) -> None:
        for _ in range(2):
            record(open_ledger(), event(f"run-{number}"))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(e.run_key for e in open_ledger().events("fraud")) == ["run-0", "run-1", "run-2"]


def test_recording_stops_when_the_event_is_not_valid_any_more(open_ledger: Opener) -> None:
    record(open_ledger(), event("a"))
    with pytest.raises(ConflictError, match="not valid any more"):
        record(open_ledger(), event("b"), still_valid=lambda events: not events)
    assert record(open_ledger(), event("a"), still_valid=lambda events: not events) == open_ledger().head()


def test_recording_gives_up_after_the_races_it_may_lose() -> None:
    class Busy(MemoryLedger):
        """Somebody else appends between each look and each append."""

        def head(self) -> str | None:
            seen = super().head()
            self._events.append(event(f"other-{len(self._events)}"))
            return seen

    with pytest.raises(ConflictError, match="3 times another writer was faster"):
        record(Busy(), event("a"), attempts=3)


def test_the_watermark_moves_only_on_a_terminal_outcome(open_ledger: Opener) -> None:
    for subject, kind in (("a", "rejected"), ("bb", "refused"), ("ccc", "rollout_failed")):
        record(open_ledger(), event(subject, kind))  # type: ignore[arg-type]
    columns = ((1, "id", "long"), (2, "amount", "double"))
    mark = Watermark(table_uuid="u-1", snapshot_id="3051729675574597001", schema_id=3, columns=columns)
    assert watermark(open_ledger().events("fraud", documents=False)) == mark


def test_iceberg_events_survive_a_summary_that_somebody_elses_writer_left_out(tmp_path: Path) -> None:
    ledger, lake = IcebergLedger(Settings(home=tmp_path)), IcebergLake(Settings(home=tmp_path))
    record(ledger, event("a"))
    table = lake.find(LEDGER_TABLE)
    assert table is not None
    table.append(table.scan().to_arrow().slice(0, 0))
    assert ledger.events("fraud") == [event("a")]
    assert [e.run_key for e in ledger.events("fraud", documents=False)] == ["a"]
    record(ledger, event("b"))
    assert [e.run_key for e in ledger.events("fraud", documents=False)] == ["a", "b"]


def test_iceberg_ledger_names_a_catalog_that_does_not_answer(tmp_path: Path) -> None:
    nobody = Settings(home=tmp_path, iceberg_catalog={"type": "rest", "uri": "http://127.0.0.1:9"})
    with pytest.raises(LakeloopError, match="catalog does not answer"):
        record(IcebergLedger(nobody), event("a"))


def test_event_ids_are_deterministic_and_tell_events_apart() -> None:
    ids = [
        event_id("a", "promoted"),
        event_id("a", "rejected"),
        event_id("b", "promoted"),
        event_id("a", "promoted", "2"),
    ]
    assert len(set(ids)) == len(ids)
    assert ids[0] == event_id("a", "promoted") == "5f240c44aee19bd0c8d7"
