"""what-served, why and status over a real ledger."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.claiming import Claimant, now_ms
from lakeloop.cli import main
from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.recording import record
from lakeloop.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
NOON_MS = 1_767_268_800_000
HOUR_MS = 3_600_000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lakeloop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LAKELOOP_HOME", str(tmp_path / "home"))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lakeloop", *words])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def history(tmp_path: Path, lakeloop: Run) -> IcebergLedger:
    """Version 1 at noon, version 2 an hour later, back to 1 after two hours."""
    ledger = IcebergLedger(Settings(home=tmp_path / "home"))

    def add(kind: EventKind, hours: int, version: str, document: str = "", **more: object) -> None:
        event = LedgerEvent(
            event_id=event_id(version, kind, str(hours)),
            use_case="card_fraud",
            kind=kind,
            at_ms=NOON_MS + hours * HOUR_MS,
            by="ana@laptop",
            reason=f"because of {kind}",
            run_key=f"key-{version}",
            document=document,
        )
        record(ledger, event.model_copy(update=more))

    for hours, version in enumerate("12"):
        run = {"pipeline_run_id": f"run-{version}", "range": range_to(version)}
        checks = [{"name": "floor", "passed": True, "observed": "0.86", "required": "0.75"}]
        add("accepted", hours, version, json.dumps({"checks": checks}), **run)
        add("promoted", hours, version, model_version=version, **run)
    add("rolled_back", 2, "1", model_version="1", pipeline_run_id="rollback-1")
    return ledger


def range_to(version: str) -> SnapshotRange:
    return SnapshotRange(
        table="bank.t", table_uuid="u", from_snapshot_id=None, to_snapshot_id=f"305172967557459700{version}"
    )


def test_what_served_names_version_snapshots_verdict_and_both_ends(
    lakeloop: Run, history: IcebergLedger
) -> None:
    code, out, _ = lakeloop("what-served", "card_fraud", "--at", "2026-01-01T14:30+01:00")
    assert code == 0
    assert "version 2" in out
    assert "from 2026-01-01 13:00:00 until 2026-01-01 14:00:00 (UTC)" in out
    assert "(the first row, 3051729675574597002] of bank.t" in out
    assert "because of accepted" in out
    assert "by ana@laptop (run-2): because of promoted" in out
    assert "version 1, rolled_back by ana@laptop: because of rolled_back" in out
    code, out, _ = lakeloop("what-served", "card_fraud", "--json")
    now = json.loads(out)
    assert (now["version"], now["how"], now["until_ms"]) == ("1", "rolled_back", None)
    assert now["range"]["to_snapshot_id"] == "3051729675574597001"


def test_before_the_first_promotion_or_at_no_moment_it_leaves_with_2(
    lakeloop: Run, history: IcebergLedger
) -> None:
    code, out, err = lakeloop("what-served", "card_fraud", "--at", str(NOON_MS - 1))
    assert (code, out) == (2, "")
    assert "nothing had been promoted by 2026-01-01 11:59:59 UTC" in err
    assert "is not a moment" in lakeloop("what-served", "card_fraud", "--at", "noon")[2]


def test_why_tells_a_version_from_verdict_to_its_times(lakeloop: Run, history: IcebergLedger) -> None:
    code, out, _ = lakeloop("why", "card_fraud", "1")
    assert code == 0
    assert "passed floor: 0.86 (required: 0.75)" in out
    assert "from 2026-01-01 12:00:00 until 2026-01-01 13:00:00" in out
    assert "from 2026-01-01 14:00:00 until now" in out
    told = json.loads(lakeloop("why", "card_fraud", "1", "--json")[1])
    assert [e["kind"] for e in told["events"]] == ["accepted", "promoted", "rolled_back"]
    code, _, err = lakeloop("why", "card_fraud", "9")
    assert code == 2
    assert "no version 9; it names 1, 2" in err


def test_status_says_who_holds_the_use_case_and_a_rollback_is_told_too(
    lakeloop: Run, history: IcebergLedger
) -> None:
    mine = Claimant(history, "card_fraud", "run-3", "bob@desk", lease_seconds=600)
    mine.claim(range_to("3"), "training")
    assert "held       by run-3 (bob@desk) since " in lakeloop("status", "card_fraud")[1]
    claim = json.loads(lakeloop("status", "card_fraud", "--json")[1])["claim"]
    assert claim["until_ms"] > now_ms()
    code, _, err = lakeloop("rollback", "card_fraud", "--reason", " ")
    assert code == 2
    assert "the reason is empty" in err
