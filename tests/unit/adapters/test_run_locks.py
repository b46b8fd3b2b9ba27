"""Who is known to have ended on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lakeloop import bootstrap
from lakeloop.settings import Settings

HOLD = """
import sys
from lakeloop import bootstrap
from lakeloop.settings import Settings
with bootstrap.change_by_hand(Settings(), "rollback-1"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_change_by_hand_goes_on_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ended = bootstrap.run_ended(settings)
    assert not ended("rollback-1"), "nobody here knows it"
    for killed in (False, True):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env={"LAKELOOP_HOME": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not ended("rollback-1")
        if killed:
            holder.kill()
        holder.communicate(timeout=30)
        assert ended("rollback-1") == killed, "what ended by itself has released its claim"
    with bootstrap.change_by_hand(settings, "rollback-1"):
        assert not ended("rollback-1")
