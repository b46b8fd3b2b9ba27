"""A detached server process that outlives the step which started it, and can be found again.

Each process holds an exclusive lock (flock) on a file of its own, inherited from whoever started it and
released by the kernel when it dies. So "it runs" is never a guess: a recorded pid is signalled only while the
lock is held, which a process that got the same pid later does not do; and a crash of the starter at any point
leaves a process that is either findable or dead.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import LakeloopError

POLL_SECONDS = 0.02
GRACE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
_LOG_TAIL_LINES = 15
_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LAKELOOP_SERVING_TOKEN",
    "LAKELOOP_SERVING_TOKEN_FILE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
"""All that a server gets of the environment: no credential of the step that started it, but its own token."""
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


class ServerProcess:
    """One server by its folder and name: lock, pid, port file and log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._lock_file = folder / f"{name}.lock"
        self._pid_file = folder / f"{name}.pid"
        self.port_file = folder / f"{name}.json"
        self.log_file = folder / f"{name}.log"

    def alive(self) -> bool:
        """Whether the process runs (or is being started)."""
        _reap()
        if not self._lock_file.exists():
            return False
        with self._lock_file.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def port(self) -> int | None:
        """Where it listens; None while it does not."""
        record = self._record() if self.alive() else {}
        return int(record["port"]) if "port" in record else None

    def deaf(self) -> bool:
        """Whether it runs and its port refuses connections from here: it listens in another network namespace."""
        port = self.port()
        return bool(port) and _refused(int(port or 0))

    def start(
        self,
        module: str,
        options: Sequence[str],
        timeout_seconds: float,
        variables: Mapping[str, str] | None = None,
    ) -> int:
        """Start it, or find it running; its port, once it listens. One that is `deaf` is replaced.

        Args:
            module: to run.
            options: its command line.
            timeout_seconds: until it listens.
            variables: beside the few that every server gets.

        Raises:
            LakeloopError: it ended at start, or did not listen in time; shows the end of its log.
        """
        if self.deaf():
            self.stop()
        if not self.alive():
            self._spawn(module, options, variables or {})
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            port = self.port()
            if port is not None:
                return port
            if not self.alive():
                raise LakeloopError(
                    f"{self.name} ended while it started{self.log_tail()}",
                    where=str(self.log_file),
                    fix="the end of its log says why",
                )
            time.sleep(POLL_SECONDS)
        self.stop()
        raise LakeloopError(
            f"{self.name} did not listen within {timeout_seconds:g} s{self.log_tail()}",
            where=str(self.log_file),
            fix="raise deployment.timeout_seconds, or free the machine",
        )

    def stop(self) -> bool:
        """End it: SIGTERM, then SIGKILL after the grace; False where it did not run.

        Raises:
            LakeloopError: it cannot be ended.
        """
        if not self.alive():
            return False
        for signal_, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 5.0)):
            self._signal(signal_)
            if wait_until(lambda: not self.alive(), seconds):
                return True
        raise LakeloopError(f"{self.name} cannot be ended", where=str(self._pid_file))

    def log_tail(self) -> str:
        """The last lines of its log, for an error's text."""
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "".join(f"\n    | {line}" for line in lines[-_LOG_TAIL_LINES:])

    def remove_files(self) -> None:
        """Forget a process that does not run."""
        for file in (self.port_file, self._pid_file, self.log_file, self._lock_file):
            file.unlink(missing_ok=True)

    def _spawn(self, module: str, options: Sequence[str], variables: Mapping[str, str]) -> None:
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("ab") as lock, self.log_file.open("wb") as log:
            if not wait_until(lambda: _locked(lock), 5.0):
                return
            self.port_file.unlink(missing_ok=True)
            self._pid_file.unlink(missing_ok=True)
            child = subprocess.Popen(
                [sys.executable, "-m", module, *options, "--port-file", str(self.port_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._lock_file.parent,
                env={**variables, **_environment()},
                pass_fds=[lock.fileno()],
            )
        _CHILDREN[child.pid] = child
        self._pid_file.write_text(str(child.pid), encoding="utf-8")

    def _signal(self, signal_: signal.Signals) -> None:
        pid = self._record().get("pid") or self._spawned_pid()
        if pid and self.alive():
            try:
                os.kill(int(pid), signal_)
            except ProcessLookupError:
                return

    def _spawned_pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self.port_file.read_bytes())
        except (OSError, ValueError):
            return {}
        return record


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition; False where it did not hold within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _refused(port: int) -> bool:
    """A server takes connections even while it is busy: the kernel does it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _locked(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _reap() -> None:
    for pid in [pid for pid, child in _CHILDREN.items() if child.poll() is not None]:
        del _CHILDREN[pid]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = [str(Path(entry).resolve()) for entry in kept.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
