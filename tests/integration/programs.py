"""Programs in a process of their own: a Spark session is one for a process, and the other tests share theirs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

SECONDS = 180


def run_program(words: Sequence[str], variables: Mapping[str, str]) -> str:
    """What it printed; its end must be a good one."""
    done = subprocess.run(
        [*words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
