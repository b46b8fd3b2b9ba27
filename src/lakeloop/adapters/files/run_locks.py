"""Whether a run of this machine goes on: the process runner holds `RUN_ID/lock` for as long as it lives."""

from __future__ import annotations

import fcntl
from pathlib import Path


def run_ended(runs_folder: Path, pipeline_run_id: str) -> bool:
    """True where the run's lock is free: the kernel frees it however the runner dies. False where unknown."""
    if not pipeline_run_id or Path(pipeline_run_id).name != pipeline_run_id:
        return False
    try:
        with (runs_folder / pipeline_run_id / "lock").open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except OSError:  # no such run here, or its lock is held
        return False
