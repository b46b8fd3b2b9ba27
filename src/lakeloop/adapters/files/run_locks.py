"""Whether a run or a command of this machine goes on: each holds `OWNER/lock` for as long as it lives."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def held_lock(folder: Path, owner: str) -> Iterator[None]:
    """Hold `owner`'s lock; its file goes at the end, and stays, free, where the process is killed.

    The folders that this had to make go with it, unless something else lies there by then.
    """
    place = folder / owner
    made = [path for path in (place, *place.parents) if not path.exists()]
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            (place / "lock").unlink(missing_ok=True)
            with suppress(OSError):
                for path in made:
                    path.rmdir()
