"""A server that was asked to end answers on while the cluster still sends it requests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from lakeloop.domain.routes import Routes


def test_after_sigterm_it_answers_on_asks_for_new_connections_and_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "routes.json").write_text(Routes().model_dump_json(), encoding="utf-8")
    port_file = tmp_path / "port.json"
    options = ["--endpoint", "a", "--routes", str(tmp_path / "routes.json"), "--port-file", str(port_file)]
    command = [sys.executable, "-m", "lakeloop.serving.gateway", *options, "--drain-seconds", "3"]
    with subprocess.Popen(command) as server:
        deadline = time.monotonic() + 60
        while not port_file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        url = f"http://127.0.0.1:{json.loads(port_file.read_bytes())['port']}/gateway/status"
        with httpx.Client(trust_env=False, timeout=20) as client:
            assert "connection" not in client.get(url).headers
            server.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            while (answer := client.get(url)).headers.get("connection") != "close":
                assert time.monotonic() < deadline
            assert answer.status_code == 200
        assert server.wait(timeout=60) == 0
