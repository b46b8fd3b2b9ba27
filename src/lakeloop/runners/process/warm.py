"""The runner's end of the warm interpreter (see `zygote`)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakeloop.runners.process.tickets import take, ticket_path

START_TIMEOUT_SECONDS = 10.0

# Between the modules imported at once and those imported later. The interpreter takes it from here: a program that
# its own package has imported before it starts makes Python warn.
LATER = "--"


# Read by the interpreter, the loader or OpenMP when a process starts: a fork cannot have other ones.
_START_UP_PREFIXES = ("PYTHON", "LD_", "OMP_", "MALLOC_", "VIRTUAL_ENV")


def _start_up(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(_START_UP_PREFIXES)}


class WarmProcess:
    """A step forked from the warm interpreter; speaks like `subprocess.Popen` as far as the runner needs."""

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self._started = threading.Event()
        self._ended = threading.Event()

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Exit code; negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        if not self._ended.wait(timeout) or self.returncode is None:
            raise subprocess.TimeoutExpired(f"pid {self.pid}", timeout or 0.0)
        return self.returncode

    def mark_started(self, pid: int) -> None:
        """The interpreter forked it."""
        self.pid = pid
        self._started.set()

    def mark_ended(self, code: int) -> None:
        """It ended, or the interpreter did."""
        self.returncode = code
        self._started.set()
        self._ended.set()

    def wait_started(self, timeout_seconds: float) -> bool:
        """False where no fork was seen in time, or none will come."""
        return self._started.wait(timeout_seconds) and self.pid != 0


class WarmInterpreter:
    """Starts at once, is ready when `modules` are imported; until then callers start steps the plain way.

    `later` modules follow while the first forked step runs.
    """

    def __init__(
        self,
        modules: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        later: Sequence[str] = (),
    ) -> None:
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._processes: dict[str, WarmProcess] = {}
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._start_up = _start_up(environment)
        command = [sys.executable, "-m", "lakeloop.runners.process.zygote", *modules, LATER, *later]
        self._process = subprocess.Popen(
            command,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
        theirs.close()
        threading.Thread(target=self._listen, name="warm-interpreter", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether a step can be forked now."""
        return self._ready.is_set()

    @property
    def pid(self) -> int:
        """Of the interpreter itself."""
        return self._process.pid

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log_path: Path,
    ) -> WarmProcess | None:
        """A forked step, or None where the interpreter is not there: start it the plain way."""
        if not self.ready or _start_up(environment) != self._start_up:
            return None
        token, process, ticket = uuid.uuid4().hex, WarmProcess(), ticket_path(log_path)
        request = {
            "start": token,
            "module": module,
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder),
            "log": str(log_path),
            "ticket": str(ticket),
        }
        with self._lock:
            self._processes[token] = process
            try:
                self._connection.sendall(json.dumps(request).encode() + b"\n")
            except OSError:
                return None
        if not process.wait_started(START_TIMEOUT_SECONDS) and take(ticket):
            return None
        return process if process.wait_started(START_TIMEOUT_SECONDS) else None

    def close(self) -> None:
        """End the interpreter; steps that still run go on."""
        self._ready.clear()
        self._connection.close()
        self._process.terminate()
        self._process.wait(timeout=START_TIMEOUT_SECONDS)

    def _listen(self) -> None:
        try:
            for line in self._connection.makefile("rb"):
                self._hear(json.loads(line))
        except OSError:
            pass  # closed by us
        finally:
            self._ready.clear()
            for process in list(self._processes.values()):
                process.mark_ended(1)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("ready"):
            self._ready.set()
        elif "started" in message:
            self._processes[message["started"]].mark_started(message["pid"])
        else:
            self._processes.pop(message["ended"]).mark_ended(message["code"])
