"""A stand-in for the platform that the labs deploy to: it builds and starts replicas when it gets round to it.

`deploy` answers at once, as an API that starts a build does. What serves goes on serving until the new replica
answers; a replica that ends at its start is started again, three times in all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
TRIES = 3
SERVER = Path(__file__).with_name("labs_server.py")


@dataclass(frozen=True)
class Replica:
    """A server process, and what it was asked to serve."""

    label: str
    process: subprocess.Popen[bytes]
    port: int


@dataclass
class Workbench:
    """One endpoint."""

    folder: Path
    serving: Replica | None = None
    starts: int = 0
    _work: list[threading.Thread] = field(default_factory=list)

    def deploy(self, label: str, model: Path, variables: dict[str, str] | None = None) -> None:
        """Ask for a deployment; whether it comes to anything is not said."""
        work = threading.Thread(target=self._deploy, args=(label, model, variables or {}), daemon=True)
        self._work.append(work)
        work.start()

    def settled(self) -> str | None:
        """For observers only: what serves once nothing is going on any more."""
        for work in self._work:
            work.join(START_SECONDS * TRIES)
        return self.serving.label if self.serving else None

    def predict(self, rows: list[list[float]]) -> list[float]:
        assert self.serving is not None
        url = f"http://127.0.0.1:{self.serving.port}"
        request = urllib.request.Request(url, json.dumps(rows).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            scores: list[float] = json.load(answer)
        return scores

    def stop(self) -> None:
        if self.serving is not None:
            _end(self.serving.process)

    def _deploy(self, label: str, model: Path, variables: dict[str, str]) -> None:
        for _ in range(TRIES):
            started = self._start(label, model, variables)
            if started is not None:
                before, self.serving = self.serving, started
                if before is not None:
                    _end(before.process)
                return

    def _start(self, label: str, model: Path, variables: dict[str, str]) -> Replica | None:
        self.starts += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        port_file = self.folder / f"{self.starts}.port"
        command: list[Any] = [sys.executable, SERVER, "--model", model, "--port-file", port_file]
        with (self.folder / f"{self.starts}.log").open("wb") as log:
            environment = {**os.environ, **variables}
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if port_file.exists():
                return Replica(label, process, int(port_file.read_text()))
            time.sleep(0.02)
        _end(process)
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)
