"""What the benches share: ratios, and wall time and peak memory of a command with all its children."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.1
COMMAND_TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True)
class Ratio:
    """One figure; `detail` says what was divided by what."""

    what: str
    value: float
    goal: str
    reached: bool
    detail: str


@dataclass(frozen=True)
class Measured:
    """A finished command: its last stdout line as JSON, wall seconds, peak memory of its process tree."""

    result: Any
    seconds: float
    peak_gib: float


def run_measured(command: list[str], environment: Mapping[str, str]) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; its output is in the message.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = _Peak(process.pid)
    output, errors = process.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
    seconds = time.monotonic() - started
    if process.returncode != 0:
        raise RuntimeError(f"{command} left with {process.returncode}:\n{output}\n{errors}")
    return Measured(json.loads(output[output.index("{") :]), seconds, peak.stop() / 2**30)


def python(module: str, *arguments: str) -> list[str]:
    """A module of ours in a fresh interpreter."""
    return [sys.executable, "-m", module, *arguments]


class _Peak(threading.Thread):
    """Samples the proportional set size of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._peak, self._over = pid, 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, sum(map(_memory_bytes, _tree(self._pid))))

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self._peak


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(entry), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def memory_bytes_of_tree(pid: int) -> int:
    """Proportional set size of a process and its descendants, now."""
    return sum(map(_memory_bytes, _tree(pid)))


def cpu_seconds_of_tree(pid: int) -> float:
    """User and system time of a process and its living descendants, up to now."""
    return sum(map(_cpu_seconds, _tree(pid)))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def memory_gib() -> float:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
