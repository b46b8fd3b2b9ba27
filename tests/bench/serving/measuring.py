"""One server under load: started, checked, loaded with wrk, ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bench.measured import ROOT, cpu_seconds_of_tree, memory_bytes_of_tree
from tests.bench.serving.model import BenchModel
from tests.bench.serving.servers import Server

SIZES = (1, 100)
CONNECTIONS = (1, 16, 64)
START_SECONDS = 120.0
TOLERANCE = 1e-6
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Loaded:
    """One load: requests a second, milliseconds of latency, and of the server's CPU time a request."""

    rows: int
    connections: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    failed: int


@dataclass(frozen=True)
class ServerFigures:
    """All figures of one server."""

    name: str
    cold_start_seconds: float
    memory_mib: float
    loads: list[Loaded]


def measure(server: Server, model: BenchModel, folder: Path, seconds: int) -> ServerFigures:
    """Start it, compare its scores with the booster's, load it.

    Raises:
        RuntimeError: it does not start, answers something else, or fails under load.
    """
    folder.mkdir(parents=True)
    port = _free_port()
    command = server.command(model, folder, port)
    url = f"http://127.0.0.1:{port}{server.path}"
    with _running(command, folder, server.environment):
        started = time.monotonic()
        _first_answer(server, model, url)
        cold = time.monotonic() - started
        loads = []
        for rows in SIZES:
            body = folder / f"body-{rows}.json"
            body.write_text(json.dumps(server.body(model, slice(0, rows))), encoding="utf-8")
            _load(url, body, 16, 2, rows)  # warm
            loads += [_load(url, body, count, seconds, rows) for count in CONNECTIONS]
        memory = memory_bytes_of_tree(_PROCESSES[0]) / 2**20
    return ServerFigures(server.name, cold, memory, loads)


_PROCESSES: list[int] = []


@contextlib.contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _PROCESSES[:] = [process.pid]
        try:
            yield
        except Exception:
            print((folder / "server.log").read_text(errors="replace")[-3000:])
            raise
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _first_answer(server: Server, model: BenchModel, url: str) -> None:
    content = server.body(model, slice(0, 100))
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False, timeout=30) as client:
        while True:
            try:
                answer = client.post(url, json=content)
                if answer.is_success:
                    break
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"{server.name} did not answer within {START_SECONDS:g} s")
            time.sleep(0.02)
    scores = server.scores(answer.json())
    worst = max(abs(a - b) for a, b in zip(scores, model.scores[:100], strict=True))
    if worst > TOLERANCE:
        raise RuntimeError(f"{server.name} answers other scores: {worst} off")


def _load(url: str, body: Path, connections: int, seconds: int, rows: int) -> Loaded:
    script = body.with_suffix(".lua")
    script.write_text(
        f'local f = io.open("{body}")\nwrk.method = "POST"\nwrk.body = f:read("*a")\n'
        'wrk.headers["Content-Type"] = "application/json"\n',
        encoding="utf-8",
    )
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "10s",
        "-s",
        str(script),
        url,
    ]
    before = cpu_seconds_of_tree(_PROCESSES[0])
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    cpu_seconds = cpu_seconds_of_tree(_PROCESSES[0]) - before
    failed = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", told))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    failed += sum(map(int, errors.groups())) if errors else 0
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    count = re.search(r"(\d+) requests in", told)
    if rate is None or count is None or not int(count[1]):
        raise RuntimeError(told)
    cpu_ms = cpu_seconds / int(count[1]) * 1e3
    return Loaded(
        rows, connections, float(rate[1]), _percentile(told, 50), _percentile(told, 99), cpu_ms, failed
    )


def _percentile(told: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)([a-z]+)\s*$", told, re.MULTILINE)
    if found is None:
        raise RuntimeError(told)
    return float(found[1]) * _UNITS[found[2]]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
