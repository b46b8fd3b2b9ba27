from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from lakeloop.domain.routes import Backend, Routes
from lakeloop.serving.gateway.app import Gateway
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.http import MAX_BODY_BYTES


def write(path: Path, routes: Routes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(routes.model_dump_json(), encoding="utf-8")
    temporary.replace(path)


def call(gateway: Gateway, method: str, path: str, **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(gateway), base_url="http://gate"
        ) as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def test_a_replaced_file_is_followed_and_a_damaged_one_is_told_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    routes = RoutesFile(path)
    assert routes.current() == Routes()
    assert routes.problem
    good = Routes(generation=3, backends=(Backend(handle="a", url="http://a", version="1", weight=1),))
    write(path, good)
    assert (routes.current(), routes.problem) == (good, "")
    path.write_text("{", encoding="utf-8")
    assert routes.current() == good
    assert "JSON" in routes.problem
    write(path, Routes(generation=4))
    assert (routes.current().generation, routes.problem) == (4, "")


def test_without_a_model_the_gateway_says_so(tmp_path: Path) -> None:
    gateway = Gateway("card-fraud", RoutesFile(tmp_path / "routes.json"))
    answer = call(gateway, "POST", "/predict", json={})
    assert (answer.status_code, answer.json()) == (503, {"error": "no model is deployed"})
    status = call(gateway, "GET", "/gateway/status").json()
    assert (status["endpoint"], status["generation"], status["backends"]) == ("card-fraud", 0, [])


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
def test_a_body_over_the_limit_is_refused(tmp_path: Path, size: int) -> None:
    gateway = Gateway("card-fraud", RoutesFile(tmp_path / "routes.json"))
    assert call(gateway, "POST", "/predict", content=b" " * size).status_code == (
        503 if size == MAX_BODY_BYTES else 413
    )


def test_what_one_connection_only_concerns_is_not_passed_on(tmp_path: Path) -> None:
    """RFC 9110, 7.6.1; a request keeps path, query, body and other headers, an answer its status and type."""
    seen: list[tuple[bytes, bytes]] = []

    async def backend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append((head, await reader.readexactly(2)))
        writer.write(b"HTTP/1.1 418 x\r\nContent-Type: text/tea\r\nConnection: x-hop\r\nX-Hop: 1\r\n")
        writer.write(b"Content-Length: 3\r\n\r\npot")
        await writer.drain()
        writer.close()

    async def scenario() -> httpx.Response:
        server = await asyncio.start_server(backend, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        write(
            tmp_path / "routes.json",
            Routes(generation=1, backends=(Backend(handle="a", url=url, version="9", weight=1),)),
        )
        gateway = Gateway("card-fraud", RoutesFile(tmp_path / "routes.json"))
        headers = {"connection": "keep-alive, x-mine", "x-mine": "1", "x-request-id": "abc"}
        async with (
            server,
            httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://gate") as client,
        ):
            return await client.post("/a%2Fb?c=d%20e", content=b"{}", headers=headers)

    answer = asyncio.run(scenario())
    (head, body), *_ = seen
    assert head.startswith(b"POST /a%2Fb?c=d%20e HTTP/1.1\r\n")
    assert body == b"{}"
    assert b"x-request-id: abc" in head.lower()
    assert b"x-mine" not in head.lower()
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (418, "pot", "text/tea")
    assert answer.headers["lakeloop-model-version"] == "9"
    assert "x-hop" not in answer.headers


def test_it_is_ready_once_it_has_routes_and_says_who_answers_behind_a_backend_without_traffic(
    tmp_path: Path,
) -> None:
    path = tmp_path / "routes.json"
    gateway = Gateway("card-fraud", RoutesFile(path))
    assert call(gateway, "GET", "/gateway/ready").status_code == 503

    async def backend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /version ")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def scenario() -> list[httpx.Response]:
        server = await asyncio.start_server(backend, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        dark = [
            Backend(handle="dark", url=url, version="9"),
            Backend(handle="gone", url="http://127.0.0.1:9", version="8"),
        ]
        write(path, Routes(generation=1, backends=tuple(dark)))
        transport = httpx.ASGITransport(gateway)
        async with server, httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            paths = ["ready", "backends/dark", "backends/gone", "backends/other"]
            return [await client.get(f"/gateway/{one}") for one in paths]

    ready, dark, gone, other = asyncio.run(scenario())
    assert [a.status_code for a in (ready, dark, gone, other)] == [200, 200, 503, 404]
    assert dark.json() == {}
    assert "cannot be reached" in gone.json()["error"]
    assert call(gateway, "POST", "/predict", json={}).status_code == 503, "no traffic for a dark backend"


def test_a_backend_that_closes_before_it_answers_is_asked_once_more(tmp_path: Path) -> None:
    seen = []

    async def backend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        if len(seen) > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    async def scenario() -> httpx.Response:
        server = await asyncio.start_server(backend, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        write(
            tmp_path / "r.json",
            Routes(generation=1, backends=(Backend(handle="a", url=url, version="1", weight=1),)),
        )
        transport = httpx.ASGITransport(Gateway("card-fraud", RoutesFile(tmp_path / "r.json")))
        async with server, httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            return await client.get("/version")

    assert asyncio.run(scenario()).status_code == 200
    assert len(seen) == 2
