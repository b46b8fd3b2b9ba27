"""The gateway's HTTP interface: an ASGI application that passes each request to a routed backend.

A request is read whole before it is sent on, and an answer before it is sent back: a backend that vanishes
in between is replaced by another unnoticed; a prediction has no effect that a repetition would double.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

import httpx

from lakeloop.domain.routes import Backend, order_of_attempts
from lakeloop.serving.gateway.backends import ANSWER_SECONDS, Backends, who
from lakeloop.serving.gateway.routes_source import RoutesSource
from lakeloop.serving.http import Refused, read_body
from lakeloop.serving.structured_log import log

BACKEND_PATH = "/gateway/backends/"
TAKE_OVER_SECONDS = 10.0
"""How long the first of two backends may take; then the other is asked: a version that hangs costs no request."""
VERSION_HEADER = b"lakeloop-model-version"
NO_MODEL = "no model is deployed"
_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
"""RFC 9110, section 7.6.1: for one connection only."""
_NOT_ANSWERED = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)

Headers = list[tuple[bytes, bytes]]


class Sender(Protocol):
    """Sends requests to backends by URL, and counts them."""

    async def send(  # noqa: PLR0913, PLR0917 - an HTTP request
        self, url: str, method: str, target: bytes, headers: Headers, body: bytes, seconds: float, /
    ) -> tuple[int, bytes, Headers]:
        """One request; raises httpx.TransportError where the backend did not answer in so many seconds."""

    def counts(self, url: str) -> dict[str, Any]:
        """Of a backend, for /gateway/status."""

    def in_flight(self) -> dict[str, int]:
        """Requests under way by URL."""

    async def keep(self, urls: Collection[str]) -> None:
        """What is routed now."""


def attempts(backends: Sequence[Backend]) -> list[tuple[Backend, float]]:
    """Backends to try for one request, each with the seconds that it has.

    A backend may be several pods, of which one has just gone: alone, it is asked again.
    """
    chosen = order_of_attempts(backends, random.random())  # noqa: S311 - traffic shares
    if len(chosen) == 1:
        return [(chosen[0], ANSWER_SECONDS)] * 2
    return [(b, ANSWER_SECONDS if index else TAKE_OVER_SECONDS) for index, b in enumerate(chosen)]


class Gateway:
    """ASGI application. `/gateway/...` is its own; everything else goes to a backend."""

    def __init__(self, endpoint: str, routes: RoutesSource, backends: Sender | None = None) -> None:
        self._endpoint, self._routes = endpoint, routes
        self._backends: Sender = backends or Backends()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        try:
            body = await read_body(receive)
        except Refused as error:
            await _answer(send, error.status, _error(str(error)), error.headers)
            return
        if scope["path"] == "/gateway/status":
            await _answer(send, 200, self.status(), [])
            return
        if scope["path"] == "/gateway/ready":
            ready = self._routes.ready
            told = {"status": "ready"} if ready else _error(f"no routes yet: {self._routes.problem}")
            await _answer(send, 200 if ready else 503, told, [])
            return
        if scope["path"].startswith(BACKEND_PATH):
            await _answer(send, *await self._who(scope["path"].removeprefix(BACKEND_PATH)))
            return
        await _answer(send, *await self._forward(scope, body))

    def status(self) -> dict[str, Any]:
        """What is routed, and the requests under way."""
        routes = self._routes.current()
        backends = [{**b.model_dump(mode="json"), **self._backends.counts(b.url)} for b in routes.backends]
        return {
            "endpoint": self._endpoint,
            "pid": os.getpid(),
            "generation": routes.generation,
            "backends": backends,
            "in_flight": self._backends.in_flight(),
            "routes_problem": self._routes.problem,
        }

    async def _who(self, handle: str) -> tuple[int, Any, Headers]:
        """Who answers behind one backend, dark or not, as this gateway reaches it."""
        backend = self._routes.current().backend(handle)
        if backend is None:
            return 404, _error("no such backend"), []
        try:
            status, content = await who(backend.url)
        except httpx.TransportError as error:
            return 503, _error(f"it cannot be reached: {type(error).__name__}: {error}"), []
        return status, content, [(b"content-type", b"application/json")]

    async def _forward(self, scope: dict[str, Any], body: bytes) -> tuple[int, Any, Headers]:
        routes = self._routes.current()
        await self._backends.keep({b.url for b in routes.backends})
        problem = NO_MODEL
        for backend, seconds in attempts(routes.backends):
            try:
                return await self._send(backend, scope, body, seconds)
            except _NOT_ANSWERED as error:
                problem = f"version {backend.version} did not answer: {type(error).__name__}"
                _log_failed(backend, scope, error)
            except httpx.TimeoutException:
                if seconds == ANSWER_SECONDS:
                    return 504, _error(f"version {backend.version} did not answer in time"), []
        return 503, _error(problem), []

    async def _send(
        self, backend: Backend, scope: dict[str, Any], body: bytes, seconds: float
    ) -> tuple[int, bytes, Headers]:
        path = scope.get("raw_path") or scope["path"].encode()
        query = scope.get("query_string", b"")
        target = path + (b"?" + query if query else b"")
        headers = [(k, v) for k, v in _end_to_end(scope["headers"]) if k not in {b"host", b"content-length"}]
        status, content, answered = await self._backends.send(
            backend.url, scope["method"], target, headers, body, seconds
        )
        kept = [(k, v) for k, v in _end_to_end(answered) if k not in {b"content-length", b"date", b"server"}]
        return status, content, [*kept, (VERSION_HEADER, backend.version.encode())]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    pairs = [(k.lower(), v) for k, v in headers]
    named = {n.strip().lower() for k, v in pairs if k == b"connection" for n in v.split(b",")}
    return [(k, v) for k, v in pairs if k not in _HOP_BY_HOP | named]


async def _answer(send: Any, status: int, content: Any, headers: Headers) -> None:
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
        headers = [*headers, (b"content-type", b"application/json")]
    headers = [*headers, (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _log_failed(backend: Backend, scope: dict[str, Any], error: Exception) -> None:
    """Why is told of requests without a body only: an error's text may quote a caller's values."""
    why = {"why": str(error)} if scope["method"] == "GET" else {}
    log("backend did not answer", "error", version=backend.version, error=type(error).__name__, **why)


def _error(text: str) -> dict[str, str]:
    return {"error": text}
