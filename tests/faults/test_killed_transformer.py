"""kill -9 of a transformer and of its predictor under load: what was acknowledged is logged, once, as it was sent."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from lakeloop.adapters.local.process import wait_until
from lakeloop.adapters.memory.row_log import MemoryRowLog
from lakeloop.domain.prediction_table import table_name
from lakeloop.serving.listener import bind
from lakeloop.serving.prediction_log.shipping import ship
from tests.fakes.models import ROWS, model_folder

KILLS = 8
LOAD_SECONDS = 120.0
"""At most."""
AWAY = {"error": "the predictor behind this transformer does not answer; try again"}


def free_port() -> int:
    with bind("127.0.0.1", 0) as free:
        port: int = free.getsockname()[1]
        return port


class Pair:
    """Both servers, each at a port of its own, which it has again when it is started again."""

    def __init__(self, home: Path) -> None:
        self.log, self.running = home / "log", dict[str, subprocess.Popen[bytes]]()
        model_folder(home / "model")
        predictor, transformer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{transformer}"
        self._words = {
            "predictor": [
                *("--model-folder", str(home / "model"), "--port", str(predictor)),
                *("--ready-features", "--prediction-log", str(self.log)),
            ],
            "transformer": ["--predictor_host", f"127.0.0.1:{predictor}", "--http_port", str(transformer)],
        }

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", f"lakeloop.serving.{name}", *self._words[name]]
        self.running[name] = subprocess.Popen(command, start_new_session=True)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def answers(self) -> bool:
        try:
            return httpx.post(f"{self.url}/predict", json={"rows": ROWS}, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


class Caller(threading.Thread):
    """Counts what it is answered: a score, the one error that says why there is none, or nothing at all."""

    def __init__(self, url: str, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._url, self._ended = url, ended
        self.acknowledged: dict[str, float] = {}
        self.other: list[str] = []
        self.away = 0

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                with httpx.Client(trust_env=False, timeout=10) as client:
                    while not self._ended.is_set():
                        self._hear(client.post(f"{self._url}/predict", json={"rows": ROWS}))
            except httpx.HTTPError:
                self._ended.wait(0.05)

    def _hear(self, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            told = answer.json()
            self.acknowledged |= dict(zip(told["prediction_ids"], told["scores"], strict=True))
        elif (answer.status_code, answer.json()) == (503, AWAY):
            self.away += 1
            self._ended.wait(0.05)
        else:
            self.other.append(answer.text)


def test_no_acknowledged_prediction_is_missing_twice_or_changed(tmp_path: Path) -> None:
    pair, ended = Pair(tmp_path), threading.Event()
    callers = [Caller(pair.url, ended) for _ in range(3)]
    try:
        for name in ("predictor", "transformer"):
            pair.start(name)
        assert wait_until(pair.answers, 60)
        for caller in callers:
            caller.start()
        until = time.monotonic() + LOAD_SECONDS
        killed: Counter[str] = Counter()
        while killed.total() < KILLS and time.monotonic() < until:
            ended.wait(random.uniform(0.5, 1.0))
            name = ("transformer", "predictor")[killed.total() % 2]
            pair.kill(name)
            ended.wait(0.3)
            pair.start(name)
            killed[name] += 1
            assert wait_until(pair.answers, 60)
    finally:
        ended.set()
        for caller in callers:
            caller.join(20)
        for name in list(pair.running):
            pair.kill(name)
    rows = MemoryRowLog()
    assert wait_until(lambda: ship(pair.log, rows) >= 0 and not list(pair.log.glob("*.segment")), 30)
    table = rows.rows(table_name("fraud"))
    assert table is not None
    ids = table.column("prediction_id").to_pylist()
    acknowledged = {i: s for caller in callers for i, s in caller.acknowledged.items()}
    assert killed.total() == KILLS
    assert len(acknowledged) > 50, f"hardly any load: {len(acknowledged)}"
    assert sum(caller.away for caller in callers) > 0, "nobody met a predictor that was away"
    assert [caller.other for caller in callers] == [[], [], []]
    assert [i for i, n in Counter(ids).items() if n > 1] == []
    assert acknowledged.keys() - set(ids) == set()
    logged = dict(zip(ids, table.column("score").to_pylist(), strict=True))
    assert all(logged[i] == s for i, s in acknowledged.items())
    inputs = {json.dumps(json.loads(text), sort_keys=True) for text in table.column("inputs").to_pylist()}
    assert inputs == {json.dumps(row, sort_keys=True) for row in ROWS}
