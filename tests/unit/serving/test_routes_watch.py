"""The gateway follows a ConfigMap by the Kubernetes API's own protocol, spoken here by a small real server."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from lakeloop.domain.routes import Backend, Routes
from lakeloop.serving.gateway import routes_watch
from lakeloop.serving.gateway.routes_watch import RoutesWatch


class Api:
    """Lists and watches one ConfigMap."""

    def __init__(self) -> None:
        self.config_map: dict[str, Any] | None = None
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.lists, self.tokens, self.broken = 0, set(), False
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlparse(self.path).query)
                api.tokens.add(self.headers["authorization"])
                assert urlparse(self.path).path == "/api/v1/namespaces/ns/configmaps"
                assert query["fieldSelector"] == ["metadata.name=card-fraud-routes"]
                self.send_response(500 if api.broken else 200)
                self.end_headers()
                if api.broken:
                    return
                if "watch" not in query:
                    api.lists += 1
                    items = [api.config_map] if api.config_map else []
                    self.wfile.write(
                        json.dumps({"metadata": {"resourceVersion": "7"}, "items": items}).encode()
                    )
                    return
                assert query["resourceVersion"] == ["7"]
                while (event := api.events.get()) is not None:
                    self.wfile.write(json.dumps(event).encode() + b"\n")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def config_map(generation: int) -> dict[str, Any]:
    backend = Backend(handle="a", url="http://a", version="1", weight=1)
    return {"data": {"routes.json": Routes(generation=generation, backends=(backend,)).model_dump_json()}}


def holds(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.events.put(None)
    api.server.shutdown()


@pytest.fixture
def watch(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RoutesWatch]:
    monkeypatch.setattr(routes_watch, "RETRY_SECONDS", 0.05)
    (tmp_path / "token").write_text("first\n", encoding="utf-8")
    watch = RoutesWatch(api.url, "ns", "card-fraud-routes", tmp_path)
    yield watch
    watch.close()


def test_changes_are_in_force_at_once_and_a_damaged_one_is_told_and_changes_nothing(
    api: Api, watch: RoutesWatch
) -> None:
    assert (watch.ready, watch.current()) == (False, Routes())
    api.config_map = config_map(1)
    watch.start()
    assert holds(lambda: watch.ready and watch.current().generation == 1)
    api.events.put({"type": "MODIFIED", "object": config_map(2)})
    assert holds(lambda: watch.current().generation == 2)
    api.events.put({"type": "MODIFIED", "object": {"data": {"routes.json": "{"}}})
    assert holds(lambda: "JSON" in watch.problem)
    assert watch.current().generation == 2
    api.events.put({"type": "MODIFIED", "object": config_map(3)})
    assert holds(lambda: (watch.current().generation, watch.problem) == (3, ""))


def test_without_routes_the_gateway_is_not_ready_and_says_why(api: Api, watch: RoutesWatch) -> None:
    watch.start()
    assert holds(lambda: "no ConfigMap" in watch.problem)
    assert not watch.ready


@pytest.mark.parametrize(
    "end", [{"type": "ERROR", "object": {"code": 410}}, {"type": "DELETED", "object": {}}, None]
)
def test_a_watch_that_ends_is_begun_again_with_a_list(
    api: Api, watch: RoutesWatch, end: dict[str, Any] | None
) -> None:
    api.config_map = config_map(1)
    watch.start()
    assert holds(lambda: watch.ready)
    api.config_map = config_map(5)
    api.events.put(end)
    assert holds(lambda: watch.current().generation == 5)
    assert api.lists == 2


def test_while_the_api_is_away_the_last_routes_stay_and_a_renewed_token_is_used(
    api: Api, watch: RoutesWatch, tmp_path: Path
) -> None:
    api.config_map = config_map(1)
    watch.start()
    assert holds(lambda: watch.ready)
    api.broken = True
    api.events.put(None)
    assert holds(lambda: "does not tell the routes" in watch.problem)
    assert watch.current().generation == 1
    (tmp_path / "token").write_text("second", encoding="utf-8")
    api.config_map, api.broken = config_map(2), False
    assert holds(lambda: watch.current().generation == 2)
    assert api.tokens == {"Bearer first", "Bearer second"}
