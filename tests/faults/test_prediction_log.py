"""kill -9 of servers and shipper under load: what was acknowledged is in the table, once."""

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

import grpc
import httpx
import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.local.process import wait_until
from lakeloop.adapters.memory.row_log import MemoryRowLog
from lakeloop.domain.prediction_table import table_name
from lakeloop.serving.prediction_log.segments import SegmentWriter
from lakeloop.serving.prediction_log.shipping import ship
from lakeloop.settings import Settings
from tests.fakes.models import ROWS, model_folder
from tests.fakes.open_inference import Stub, inference, prediction_ids, scores

KILLS = 20
LOAD_SECONDS = 120.0
"""At most; a kill comes every second or so."""
TABLE = table_name("fraud")


class Servers:
    """A predictor of two workers, and a shipper, that are started again when they are killed."""

    def __init__(self, home: Path) -> None:
        self.home, self.log = home, home / "log"
        model_folder(home / "model")
        self.port_file = home / "port.json"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        if name == "predictor":
            self.port_file.unlink(missing_ok=True)
            options = [
                "--model-folder",
                str(self.home / "model"),
                "--workers",
                "2",
                "--grpc-port",
                "0",
                "--port-file",
                str(self.port_file),
            ]
            command = ["lakeloop.serving.predictor", *options, "--prediction-log", str(self.log)]
        else:
            command = ["lakeloop.serving.prediction_log", "--folder", str(self.log), "--every-seconds", "0.2"]
        self.running[name] = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, "LAKELOOP_HOME": str(self.home)},
            start_new_session=True,
        )

    def kill(self, name: str) -> None:
        """The whole family, as the kernel's out-of-memory killer or a node's end would."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def kill_one_worker(self) -> None:
        pid = self.running["predictor"].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(random.choice(children)), signal.SIGKILL)

    def url(self) -> str | None:
        port = self._port("port")
        return f"http://127.0.0.1:{port}" if port else None

    def grpc_address(self) -> str | None:
        port = self._port("grpc_port")
        return f"127.0.0.1:{port}" if port else None

    def _port(self, name: str) -> int:
        try:
            return int(json.loads(self.port_file.read_bytes())[name])
        except (OSError, ValueError):
            return 0


class Caller(threading.Thread):
    def __init__(self, servers: Servers, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._servers, self._ended = servers, ended
        self.acknowledged: dict[str, float] = {}

    def run(self) -> None:
        while not self._ended.is_set():
            url = self._servers.url()
            try:
                with httpx.Client(trust_env=False, timeout=5) as client:
                    while url and not self._ended.is_set():
                        answer = client.post(f"{url}/predict", json={"rows": ROWS}).raise_for_status().json()
                        self.acknowledged |= dict(
                            zip(answer["prediction_ids"], answer["scores"], strict=True)
                        )
            except httpx.HTTPError:
                self._ended.wait(0.05)
            self._ended.wait(0.05)


class GrpcCaller(Caller):
    """The same by gRPC; a call that a dead server did not answer is not acknowledged."""

    def run(self) -> None:
        while not self._ended.is_set():
            address = self._servers.grpc_address()
            stub = Stub(address) if address else None
            try:
                while stub and not self._ended.is_set():
                    answer = stub.infer(inference(ROWS))
                    self.acknowledged |= dict(zip(prediction_ids(answer), scores(answer), strict=True))
            except grpc.RpcError:
                self._ended.wait(0.05)
            finally:
                if stub:
                    stub.channel.close()
            self._ended.wait(0.05)


def test_no_acknowledged_prediction_is_missing_or_twice_whatever_is_killed(tmp_path: Path) -> None:
    servers, ended = Servers(tmp_path), threading.Event()
    for name in ("predictor", "shipper"):
        servers.start(name)
    callers = [kind(servers, ended) for kind in (Caller, Caller, GrpcCaller, GrpcCaller)]
    try:
        assert wait_until(lambda: servers.url() is not None, 60)
        for caller in callers:
            caller.start()
        until = time.monotonic() + LOAD_SECONDS
        kills: Counter[str] = Counter()
        while kills.total() < KILLS and time.monotonic() < until:
            ended.wait(random.uniform(0.3, 1.2))
            kind = random.choice(["worker", "shipper", "shipper", "predictor"])
            if kind == "worker":
                if servers.url() is None:
                    continue
                servers.kill_one_worker()
            else:
                servers.kill(kind)
                servers.start(kind)
            kills[kind] += 1
    finally:
        ended.set()
        for caller in callers:
            caller.join(20)
        for name in list(servers.running):
            servers.kill(name)
    rows = IcebergRowLog(Settings(home=tmp_path))
    # A killed worker may take a moment to go, and holds its segment's lock until then.
    assert wait_until(lambda: ship(servers.log, rows) >= 0 and not list(servers.log.glob("*.segment")), 30)
    table = rows.rows(TABLE)
    assert table is not None
    counts = Counter(table.column("prediction_id").to_pylist())
    acknowledged = {i: s for caller in callers for i, s in caller.acknowledged.items()}
    assert kills.total() == KILLS
    assert len(acknowledged) > 50, f"hardly any load: {len(acknowledged)}, {kills}"
    assert all(len(caller.acknowledged) > 10 for caller in callers), "each protocol was under load"
    assert [i for i, n in counts.items() if n > 1] == []
    assert acknowledged.keys() - counts.keys() == set()
    logged = dict(zip(counts_ids(table), table.column("score").to_pylist(), strict=True))
    assert all(logged[i] == s for i, s in acknowledged.items())
    inputs = {json.dumps(json.loads(text), sort_keys=True) for text in table.column("inputs").to_pylist()}
    assert inputs == {json.dumps(row, sort_keys=True) for row in ROWS}


def counts_ids(table: pa.Table) -> list[str]:
    ids: list[str] = table.column("prediction_id").to_pylist()
    return ids


def segment(folder: Path, count: int) -> SegmentWriter:
    writer = SegmentWriter(folder, {"identity": IDENTITY, "columns": {"a": "double"}})
    writer.append(
        [({"at_us": 1, "form": "rows", "ids": [f"{count}"], "scores": [0.7]}, b'{"rows":[{"a":1.0}]}')]
    )
    return writer


IDENTITY = {
    "model_name": "fraud",
    "version": "3",
    "model_digest": "d",
    "to_snapshot_id": "3051729675574597004",
    "decision_threshold": 0.6,
}


def test_a_segment_that_is_still_written_is_left_alone(tmp_path: Path) -> None:
    rows = MemoryRowLog()
    writer = segment(tmp_path, 1)
    assert ship(tmp_path, rows) == 0
    thread = writer.close()
    assert thread is not None
    thread.join()
    assert ship(tmp_path, rows) == 1
    table = rows.rows(TABLE)
    assert table is not None
    (row,) = table.to_pylist()
    assert (row["prediction_id"], row["decision"], row["model_version"]) == ("1", True, "3")
    assert (row["snapshot_id"], json.loads(row["inputs"])) == ("3051729675574597004", {"a": 1.0})


@pytest.mark.parametrize("died", ["after the commit", "before the commit"])
def test_a_shipper_that_died_ships_nothing_twice(
    tmp_path: Path, died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = MemoryRowLog()
    thread = segment(tmp_path, 1).close()
    assert thread is not None
    thread.join()

    class Killed(BaseException):
        pass

    def die(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        place = (Path, "unlink") if died == "after the commit" else (rows, "append")
        patched.setattr(*place, die)
        with pytest.raises(Killed):
            ship(tmp_path, rows)
    ship(tmp_path, rows)
    table = rows.rows(TABLE)
    assert table is not None
    assert table.num_rows == 1


def test_what_is_torn_is_kept_and_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    thread = segment(tmp_path, 1).close()
    assert thread is not None
    thread.join()
    (path,) = tmp_path.glob("*.segment")
    with path.open("ab") as file:
        file.write(b"half a rec")
    assert ship(tmp_path, MemoryRowLog()) == 1
    assert "torn" in capfd.readouterr().out
    assert [p.suffix for p in tmp_path.iterdir()] == [".torn"]
