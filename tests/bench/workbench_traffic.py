"""`make bench-cai`: requests at a steady rate through the gateway while a workbench redeploys, one version a bad one.

Workbench (emulated, its models in processes of their own), gateway, deployer and callers are processes of one machine.
Requests are sent at their time whether or not earlier ones are answered, so that a gap cannot hide.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.blue_green import BlueGreenDeployer
from lakeloop.adapters.cai.connection import Connection
from lakeloop.domain.workbench import Canary
from lakeloop.rollout.proof import ProofRows
from lakeloop.rollout.rolling_out import RollingOut, RolloutFailedError
from lakeloop.settings import Settings
from tests.emulators.cai import client_package
from tests.emulators.cai.testing import QUICK, SPEC, FolderServingModels, emulated
from tests.emulators.cai.worker import OwnProcess
from tests.fakes.models import ROWS, candidate, model_folder

ENDPOINT = "card-fraud"
SPEED = 120.0
ANSWER_SECONDS = 60.0
BAD = 5
_SPAWN = multiprocessing.get_context("spawn")


def workbench(folder: Path, pipe: Any) -> None:
    """An emulated workbench, until told to end."""
    with emulated(folder, worker=OwnProcess, speed=SPEED) as emulator:
        where = emulator.workbench
        pipe.send(
            (emulator.url, emulator.model_service_url, where.project_id, where.api_key, where.application_key)
        )
        while (order := pipe.recv()) != "end":
            where.destine(*order)
            pipe.send("done")
        pipe.send(emulator.refused)


@dataclass
class Callers:
    """Requests to a URL, each at its time, over connections that are kept."""

    port: int
    rate: float
    failed: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    _free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def run(self, pipe: Any) -> None:
        """Until the pipe says so."""
        body = json.dumps({"rows": ROWS[:1]}).encode()
        head = f"POST /predict HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(body)}\r\n\r\n"
        request, under_way, due = head.encode() + body, set[asyncio.Task[None]](), time.monotonic()
        while not pipe.poll():
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._one(request))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _one(self, request: bytes) -> None:
        started = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, version = await self._exchange(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            return
        self.milliseconds.append((time.monotonic() - started) * 1000)
        self.versions[version] = self.versions.get(version, 0) + 1
        if status != "200":
            self.failed.append(f"HTTP {status}")

    async def _exchange(self, request: bytes) -> tuple[str, str]:
        reader, writer = (
            self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self.port)
        )
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
        self._free.append((reader, writer))
        return head.split(" ", 2)[1], headers.get("lakeloop-model-version", "none")


def callers(port: int, rate: float, pipe: Any) -> None:
    """The process of the callers."""
    made = Callers(port, rate)
    asyncio.run(made.run(pipe))
    pipe.send((made.failed, sorted(made.milliseconds), made.versions))


class Redeploys:
    """Versions, one after the other, by new deployers as new processes would make them."""

    def __init__(self, folder: Path, where: Connection, replicas: int) -> None:
        self._folder, self._where = folder, where
        canary = Canary(weights=(10, 50, 100), step_seconds=1.0, max_latency_ratio=1000, max_score_shift=0.15)
        self._spec = SPEC.model_copy(
            update={"canary": canary, "keep": 2, "replicas": replicas, "deploy_timeout_seconds": 120}
        )
        model_folder(folder / "good", seed=1)

    def deployer(self) -> BlueGreenDeployer:
        """Of the endpoint."""
        models = FolderServingModels(self._folder / "workbench" / "experiments")
        api = Api(self._where, QUICK, lambda _: None)
        return BlueGreenDeployer(api, self._spec, models, Settings(home=self._folder / "home"))

    def roll_out(self, number: int, model: str) -> str:
        """The endpoint's URL."""
        from tests.faults.test_workbench_calls import offline

        version = candidate(self._folder / model, version=str(number))
        scores = offline(version.model_folder, version.identity.model_digest)
        proof = ProofRows(raw=tuple(ROWS), offline=scores)
        return (
            RollingOut(self.deployer(), ENDPOINT, version, proof, 1e-6, lambda: None, lambda _: None)
            .run()
            .url
        )

    def bad(self) -> str:
        """A model whose scores of the callers' row are far off."""
        from tests.integration.cai.test_blue_green_traffic import far_from

        return str(far_from(self._folder, self._folder / "good").relative_to(self._folder))


def main() -> int:
    """The figures; the exit code is 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--redeploys", type=int, default=10)
    parser.add_argument(
        "--replicas", type=int, default=2, help="of each model; one answers one request at a time"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakeloop-bench-cai-") as folder:
        return play(Path(folder), options)


def play(folder: Path, options: argparse.Namespace) -> int:
    """All of it."""
    (folder / "workbench").mkdir()
    bench, bench_end = _SPAWN.Pipe()
    platform = _SPAWN.Process(target=workbench, args=(folder / "workbench", bench_end), daemon=True)
    platform.start()
    url, service, project, key, model_key = bench.recv()
    site = str(client_package.installed(url))
    sys.path.insert(0, site)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [site, os.environ.get("PYTHONPATH", "")]
    )  # the gateway asks for keys
    where = Connection(url, project, service, folder / "workbench" / "project", key, model_key)
    redeploys = Redeploys(folder, where, options.replicas)
    bad = redeploys.bad()
    port = int(redeploys.roll_out(1, "good").rpartition(":")[2])
    calls, calls_end = _SPAWN.Pipe()
    load = _SPAWN.Process(target=callers, args=(port, options.rate, calls_end), daemon=True)
    load.start()
    started, outcomes = time.monotonic(), []
    for number in range(2, 2 + options.redeploys):
        begun = time.monotonic()
        try:
            redeploys.roll_out(number, bad if number == BAD else "good")
            outcomes.append("live")
        except RolloutFailedError as error:
            outcomes.append(f"given up: {error.problem}")
        print(f"version {number}: {outcomes[-1]}, {time.monotonic() - begun:.1f} s", flush=True)
    calls.send("end")
    failed, milliseconds, versions = calls.recv()
    seconds = time.monotonic() - started
    load.join(30)
    redeploys.deployer().stop(ENDPOINT)
    bench.send("end")
    refused = bench.recv()
    platform.join(30)
    return tell(options, seconds, outcomes, failed, milliseconds, versions, refused)


def tell(  # noqa: PLR0913, PLR0917 - the figures
    options: argparse.Namespace,
    seconds: float,
    outcomes: list[str],
    failed: list[str],
    milliseconds: list[float],
    versions: dict[str, int],
    refused: list[str],
) -> int:
    """Print them."""
    sent = len(milliseconds) + sum(not text.startswith("HTTP") for text in failed)
    print(f"{sent} requests in {seconds:.0f} s: {sent / seconds:.0f} a second, asked for {options.rate:g}")
    print(f"{len(failed)} failed{': ' + '; '.join(sorted(set(failed))[:5]) if failed else ''}")
    print("milliseconds: " + ", ".join(f"p{p} {_at(milliseconds, p):.0f}" for p in (50, 99, 100)))
    print(f"answers by version: {versions}")
    print(
        f"{len(outcomes)} redeploys, {outcomes.count('live')} live; {len(refused)} requests with unknown fields"
    )
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    expected = options.redeploys - (2 <= BAD < 2 + options.redeploys)
    return int(bool(failed or refused) or outcomes.count("live") != expected)


def _at(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


if __name__ == "__main__":
    sys.exit(main())
