"""The gateway's requests to models of a workbench: keys, models made anew, models that hang."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lakeloop.domain.routes import Backend, Routes
from lakeloop.serving.gateway import app
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.workbench_gateway import backends as workbench_backends
from lakeloop.serving.workbench_gateway.backends import WorkbenchBackends

BODY = b'{"rows": [{"amount": 1}]}'
Test = Callable[[str], Awaitable[None]]


class Service:
    """A model service that knows keys, on the loopback interface."""

    def __init__(self, **models: str) -> None:
        self.models = models
        self.requests: list[dict[str, Any]] = []

    def run(self, test: Test) -> None:
        async def served() -> None:
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
            async with server:
                await test(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/model")
                server.close()

        asyncio.run(served())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                self.requests.append(request)
                version = self.models.get(request["accessKey"])
                if version == "hangs":
                    await asyncio.sleep(30)
                if version == "slow":
                    await asyncio.sleep(0.3)
                writer.write(_answer(version))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _answer(version: str | None) -> bytes:
    record = {"score": 0.25, "prediction_id": "p", "model_version": version, "snapshot_id": "9"}
    content = {"success": True, "response": [record]} if version else {"message": "model not found"}
    body = json.dumps(content).encode()
    status = b"200 OK" if version else b"404 Not Found"
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides share one loop: where other tests take the processors, a connection may take seconds."""
    monkeypatch.setattr(workbench_backends, "CONNECT_SECONDS", 30.0)


def test_many_requests_ask_for_a_key_once_and_a_model_made_anew_is_found() -> None:
    service, asked = Service(old="1"), []

    def key_of(model: str) -> str:
        asked.append(model)
        return next(iter(service.models))

    async def test(url: str) -> None:
        backends = WorkbenchBackends(key_of, "model key")

        async def version() -> str:
            status, content, _ = await backends.send(f"{url}#blue", "POST", b"/predict", [], BODY, 5.0)
            assert status == 200
            return str(json.loads(content)["model_version"])

        assert set(await asyncio.gather(*(version() for _ in range(50)))) == {"1"}
        assert asked == ["blue"]
        service.models = {"new": "2"}
        assert set(await asyncio.gather(*(version() for _ in range(50)))) == {"2"}
        assert asked == ["blue"] * 2
        service.models = {"newer": "3"}
        assert await version() == "3"
        assert backends.in_flight() == {}

    service.run(test)


def test_a_model_that_is_not_there_costs_one_question_for_its_key() -> None:
    service, asked = Service(other="1"), []

    def key_of(model: str) -> str:
        asked.append(model)
        return "unknown"

    async def test(url: str) -> None:
        backends = WorkbenchBackends(key_of, "model key")
        for _ in range(20):
            with pytest.raises(httpx.RemoteProtocolError, match="model blue answered 404"):
                await backends.send(f"{url}#blue", "POST", b"/predict", [], BODY, 5.0)
        assert len(asked) == 2
        assert backends.counts(f"{url}#blue")["failed"] == 20

    service.run(test)


def test_proofs_are_told_from_callers_rows() -> None:
    service = Service(key="1")

    async def test(url: str) -> None:
        backends = WorkbenchBackends(lambda _: "key", "model key")
        for headers in ([], [(b"lakeloop-purpose", b"proof")]):
            await backends.send(f"{url}#blue", "POST", b"/predict", headers, BODY, 5.0)

    service.run(test)
    columns = [request["request"]["dataframe_split"]["columns"] for request in service.requests]
    assert columns == [["lakeloop_row"], ["lakeloop_proof_row"]]


def test_a_version_that_hangs_costs_no_request_while_another_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "TAKE_OVER_SECONDS", 0.2)
    service = Service(green="hangs", blue="1")

    async def test(url: str) -> None:
        backends = WorkbenchBackends(lambda model: model, "model key")
        routed = [("green", 99.0), ("blue", 1.0)]
        routes = Routes(
            backends=tuple(
                Backend(handle=m, url=f"{url}#{m}", version=m, weight=w, standby=True) for m, w in routed
            )
        )
        path = tmp_path / "routes.json"
        path.write_text(routes.model_dump_json(), encoding="utf-8")
        gateway = app.Gateway("card-fraud", RoutesFile(path), backends)
        transport = httpx.ASGITransport(gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            answers = await asyncio.gather(*(client.post("/predict", content=BODY) for _ in range(10)))
        assert [(a.status_code, a.json()["model_version"]) for a in answers] == [(200, "1")] * 10
        assert backends.counts(f"{url}#green")["failed"] > 0

    service.run(test)


def test_a_queue_before_busy_replicas_is_waited_for_as_long_as_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbench_backends, "CONNECTIONS", 1)
    monkeypatch.setattr(workbench_backends, "CONNECT_SECONDS", 0.8)
    service = Service(key="slow")

    async def test(url: str) -> None:
        backends = WorkbenchBackends(lambda _: "key", "model key")
        one = (f"{url}#blue", "POST", b"/predict", [], BODY, 10.0)
        answers = await asyncio.gather(*(backends.send(*one) for _ in range(5)))
        assert [status for status, _, _ in answers] == [200] * 5

    service.run(test)
