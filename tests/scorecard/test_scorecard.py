"""The twenty scenarios, played; and the rule that makes cells of what was seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scorecard.cells import Seen, difference, steady

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 480
COMMITTED = ROOT / "docs" / "scorecard.json"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """In a process of its own: another Spark session may live in this one."""
    folder = tmp_path_factory.mktemp("scorecard")
    command = [sys.executable, "-m", "tests.scorecard", "--out", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert (folder / "scorecard.json").exists(), done.stdout + done.stderr
    return json.loads((folder / "scorecard.json").read_text())["scenarios"]


@pytest.mark.spark
@pytest.mark.slow
def test_lakeloop_lets_none_of_the_twenty_through(played: Any) -> None:
    lost = {s["name"]: s["lakeloop"] for s in played if s["lakeloop"]["outcome"] != "caught before traffic"}
    assert (len(played), lost) == (20, {})


@pytest.mark.spark
@pytest.mark.slow
def test_the_committed_page_says_what_was_seen(played: Any) -> None:
    committed = json.loads(COMMITTED.read_text())["scenarios"]
    assert _cells(committed) == _cells(played), "run `make scorecard` and look at what changed"
    text = (ROOT / "docs" / "scorecard.md").read_text()
    for scenario in committed:
        for side in ("labs", "lakeloop"):
            found = scenario[side]
            assert f"{found['outcome']}: {found['evidence'].replace('|', chr(92) + '|')}" in text


def _cells(scenarios: Any) -> list[tuple[Any, ...]]:
    return [(s["number"], s["name"], s["labs"]["outcome"], s["lakeloop"]["outcome"]) for s in scenarios]


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (Seen(right="version 2 serves"), "caught before traffic"),
        (Seen(told=("refused",)), "caught before traffic"),
        (Seen(wrong=("rows missing",), told=("an error",)), "caught later"),
        (Seen(wrong=("rows missing",)), "silent"),
        (Seen(wrong=("rows missing",), right="version 2 serves"), "silent"),
        (Seen(), "silent"),
    ],
)
def test_what_was_seen_makes_the_cell(seen: Seen, outcome: str) -> None:
    assert seen.outcome == outcome


def test_rows_are_compared_one_by_one() -> None:
    assert difference([1, 2, 3], [1, 2, 3]) == ()
    assert difference([2, 2, 9], [1, 2]) == (
        "1 of 2 rows never trained on",
        "1 rows trained on that should not be",
        "1 rows trained on twice",
    )


def test_evidence_is_the_same_text_every_time() -> None:
    assert steady("snapshot 3051729675574597004, (7435…0416), " + "a" * 64) == "snapshot …, (…), …"
    assert steady("600 of 1200 rows") == "600 of 1200 rows"
