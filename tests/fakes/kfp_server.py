"""The part of the KFP v2 API that lakeloop calls, over HTTP, with faults that a real one cannot be asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

EXPERIMENTS, RUNS, RECURRING = ("experiments", "runs", "recurringruns")


@dataclass
class KfpServer:
    """What it holds, which requests it saw, and what it does to the next ones.

    Attributes:
        faults: for each coming POST: `before` (502, nothing happened), `after` (it happened, then 502), `cut` (it
            happened, the connection ends without an answer), or `` for none.
    """

    url: str = ""
    kept: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {EXPERIMENTS: {}, RUNS: {}, RECURRING: {}}
    )
    posts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            number = len(self.kept[kind]) + 1
            key = {EXPERIMENTS: "experiment_id", RUNS: "run_id", RECURRING: "recurring_run_id"}[kind]
            made = {**body, key: f"{kind}-{number}", "created_at": f"2026-01-01T00:00:{number:02d}+00:00"}
            if kind == RUNS:
                made["state"] = "RUNNING"
            if kind == RECURRING:
                made["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
            self.kept[kind][made[key]] = made
            return made


@contextmanager
def serving() -> Iterator[KfpServer]:
    """A server on loopback."""
    state = KfpServer()

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    server_state: KfpServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _parts(self) -> list[str]:
        return urlparse(self.path).path.removeprefix("/apis/v2beta1/").split("/")

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kind, *rest = self._parts()
        found = self.server_state.kept[kind]
        if rest:
            known = found.get(rest[0])
            self._answer(200, known) if known else self._answer(404, {"error": f"{rest[0]} not found"})
            return
        query = parse_qs(urlparse(self.path).query)
        named = json.loads(query["filter"][0])["predicates"][0] if "filter" in query else None
        listed = [
            one for one in found.values() if named is None or one["display_name"] == named["stringValue"]
        ]
        self._answer(200, {{RECURRING: "recurringRuns"}.get(kind, kind): listed})

    def do_POST(self) -> None:
        kind, *rest = self._parts()
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.server_state.posts.append("/".join([kind, *rest]))
        if rest:
            name, _, verb = rest[0].partition(":")
            known = self.server_state.kept[kind].get(name)
            if known is None:
                self._answer(404, {"error": f"{name} not found"})
                return
            known.update({"status": "DISABLED"} if verb == "disable" else {"state": "CANCELED"})
            self._answer(200, {})
            return
        fault = self.server_state.faults.pop(0) if kind == RUNS and self.server_state.faults else ""
        if fault == "before":
            self._answer(502, {"error": "bad gateway"})
            return
        made = self.server_state.create(kind, body)
        if fault == "after":
            self._answer(502, {"error": "bad gateway"})
        elif fault == "cut":
            self.close_connection = True
        else:
            self._answer(200, made)

    def do_DELETE(self) -> None:
        kind, name = self._parts()[:2]
        gone = self.server_state.kept[kind].pop(name, None)
        self._answer(200, {}) if gone else self._answer(404, {"error": f"{name} not found"})
