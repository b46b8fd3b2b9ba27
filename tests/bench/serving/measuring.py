"""Servers under load: started, checked, loaded with wrk in turn, ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from tests.bench.measured import ROOT, cpu_seconds_of_tree, memory_bytes_of_tree
from tests.bench.serving.model import BenchModel
from tests.bench.serving.servers import Server

SIZES = (1, 100)
CONNECTIONS = (1, 16, 64)
ROUNDS = 3
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


@dataclass
class _Started:
    """A server that runs, and what was found of it."""

    server: Server
    pid: int
    url: str
    cold_start_seconds: float
    bodies: dict[int, Path]
    loads: dict[tuple[int, int], list[Loaded]] = field(default_factory=dict)


def measure(servers: Sequence[Server], model: BenchModel, folder: Path, seconds: int) -> list[ServerFigures]:
    """Start them all, compare their scores with the booster's; then each load for one after the other, several times.

    So that what else the machine does is in all of them alike. Of each load the medians.

    Raises:
        RuntimeError: a server does not start, answers something else, or fails under load.
    """
    with contextlib.ExitStack() as running:
        started = [_start(running, s, model, folder / str(n)) for n, s in enumerate(servers)]
        for rows in SIZES:
            for one in started:
                _load(one, rows, 16, 2)  # warm
            for count, _, one in itertools.product(CONNECTIONS, range(ROUNDS), started):
                one.loads.setdefault((rows, count), []).append(_load(one, rows, count, seconds))
        return [_figures(one) for one in started]


def _start(running: contextlib.ExitStack, server: Server, model: BenchModel, folder: Path) -> _Started:
    folder.mkdir(parents=True)
    port = _free_port()
    command = server.command(model, folder, port)
    url = f"http://127.0.0.1:{port}{server.path}"
    pid = running.enter_context(_running(command, folder, server.environment))
    begun = time.monotonic()
    _first_answer(server, model, url)
    cold = time.monotonic() - begun
    bodies = {rows: folder / f"body-{rows}.json" for rows in SIZES}
    for rows, body in bodies.items():
        body.write_text(json.dumps(server.body(model, slice(0, rows))), encoding="utf-8")
    return _Started(server, pid, url, cold, bodies)


def _figures(one: _Started) -> ServerFigures:
    memory = memory_bytes_of_tree(one.pid) / 2**20
    return ServerFigures(
        one.server.name, one.cold_start_seconds, memory, [_medians(x) for x in one.loads.values()]
    )


def _medians(rounds: list[Loaded]) -> Loaded:
    def median(name: str) -> float:
        return statistics.median(getattr(load, name) for load in rounds)

    figures = {name: median(name) for name in ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms")}
    return replace(rounds[0], **figures, failed=sum(load.failed for load in rounds))


@contextlib.contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[int]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process.pid
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


def _load(one: _Started, rows: int, connections: int, seconds: int) -> Loaded:
    body, url = one.bodies[rows], one.url
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
    before = cpu_seconds_of_tree(one.pid)
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    cpu_seconds = cpu_seconds_of_tree(one.pid) - before
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
