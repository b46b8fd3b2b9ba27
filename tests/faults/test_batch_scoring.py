"""kill -9 of a batch scoring, again and again: it goes on, and each row has one score."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.local.process import wait_until
from lakeloop.settings import Settings
from tests.unit.test_scoring import Bank

FILES, ROWS_A_FILE, KILLS = 30, 20, 4
TARGET = "predictions.fraud_batch"
CHILD = """
import sys
from pathlib import Path
import lakeloop.scoring
from tests.unit.test_scoring import Bank
lakeloop.scoring.FILES_A_COMMIT = 1
bank = Bank(Path(sys.argv[1]))
bank.score(bank.job())
"""


def start(home: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", CHILD, str(home)], cwd=root, env=dict(os.environ))


def scored(home: Path) -> int:
    rows = IcebergRowLog(Settings(home=home / "home")).rows(TARGET, ["id"])
    return 0 if rows is None else rows.num_rows


@pytest.mark.timeout(600)
def test_a_killed_scoring_goes_on_and_scores_no_row_twice(tmp_path: Path) -> None:
    rng, bank = random.Random(5), Bank(tmp_path)
    for number in range(FILES):
        bank.land(number * ROWS_A_FILE, ROWS_A_FILE)
    reached = []
    for _ in range(KILLS):
        before = scored(tmp_path)
        child = start(tmp_path)
        wanted = before + ROWS_A_FILE * rng.randint(1, 4)
        assert wait_until(lambda wanted=wanted: scored(tmp_path) >= wanted, 120), "it does not go on"
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL, "it was done before it was killed"
        reached.append(scored(tmp_path))
    assert reached == sorted(set(reached))
    assert reached[-1] < FILES * ROWS_A_FILE
    assert start(tmp_path).wait(300) == 0
    assert sorted(bank.scores()) == list(range(FILES * ROWS_A_FILE))
    again = bank.score(bank.job())
    assert (again.rows, again.files_before) == (0, FILES)
