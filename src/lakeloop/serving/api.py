"""An HTTP API as a small ASGI application: a table of routes, and around each call what every call gets.

That is: the limits of body, time and calls at once; the token; metrics; a span; one JSON line in the log for what
fails, without any value that a caller sent. Handlers see bytes and return bytes. A gRPC method is a route, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.serving.http import MAX_BODY_BYTES, Headers, Refused, Tokens, read_body
from lakeloop.serving.metrics import ServerMetrics
from lakeloop.serving.rows import InvalidRequest
from lakeloop.serving.structured_log import log_failure
from lakeloop.serving.tracing import Tracing

JSON = b"application/json"
TEXT = b"text/plain; version=0.0.4; charset=utf-8"
MAX_CALLS_AT_ONCE = 1024
ANSWER_SECONDS = 30.0


@dataclass(slots=True)
class Call:
    """One request as a handler sees it; `tail` is the path's part behind a route that ends in `/`, decoded."""

    body: bytes
    query: bytes
    tail: str
    headers: Iterable[tuple[bytes, bytes]]
    rows: int = 0


@dataclass(slots=True)
class Answer:
    """What goes back."""

    content: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)


Handler = Callable[[Call], Awaitable[Answer]]
ReadBody = Callable[[], Awaitable[bytes]]


@dataclass(slots=True, frozen=True)
class Route:
    """A method of a path; `open` needs no token. `label` is the path in metrics."""

    handler: Handler
    open: bool = False


@dataclass(frozen=True)
class Limits:
    """What one caller may ask of the server."""

    body_bytes: int = MAX_BODY_BYTES
    calls_at_once: int = MAX_CALLS_AT_ONCE
    answer_seconds: float = ANSWER_SECONDS


@dataclass(slots=True)
class Calls:
    """How many are under way: of all protocols that share the guards."""

    under_way: int = 0


@dataclass(frozen=True)
class Guards:
    """What stands around every call."""

    tokens: Tokens = field(default_factory=Tokens)
    limits: Limits = field(default_factory=Limits)
    tracing: Tracing | None = None
    calls: Calls = field(default_factory=Calls)


def json_answer(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(orjson.dumps(value), status)


class Api:
    """ASGI application over `{path: {method: route}}`; a path that ends in `/` takes one more part."""

    def __init__(
        self,
        routes: Mapping[str, Mapping[str, Route]],
        metrics: ServerMetrics,
        guards: Guards,
    ) -> None:
        self._routes, self._metrics = routes, metrics
        self._tokens, self._limits, self._tracing = guards.tokens, guards.limits, guards.tracing
        self._calls = guards.calls
        self._prefixes = sorted((p for p in routes if p.endswith("/") and len(p) > 1), key=len, reverse=True)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        answer = await self.answer(scope, partial(read_body, receive, self._limits.body_bytes))
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.content)),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    async def answer(self, scope: Mapping[str, Any], read: ReadBody) -> Answer:
        """What a call gets, whichever protocol brought it; of a failure its status and `{"error": text}`.

        Args:
            scope: method, path, query_string and headers, as ASGI has them.
            read: the body, once it is wanted.
        """
        started = time.perf_counter()
        path, tail = self._path(scope["path"])
        if self._tracing is None:
            answer, call = await self._guarded(scope, read, path, tail)
        else:
            with self._tracing.span(scope, path) as span:
                answer, call = await self._guarded(scope, read, path, tail)
                span.ended(answer.status, call.rows if call else 0)
        self._metrics.answered(path, answer.status, time.perf_counter() - started, call.rows if call else 0)
        return answer

    def knows(self, path: str) -> bool:
        """Whether the path is a route."""
        return path in self._routes

    def _path(self, path: str) -> tuple[str, str]:
        if path in self._routes:
            return path, ""
        for prefix in self._prefixes:
            if path.startswith(prefix):
                return prefix, path[len(prefix) :]
        return "", ""

    async def _guarded(self, scope: Any, read: ReadBody, path: str, tail: str) -> tuple[Answer, Call | None]:
        call = None
        self._calls.under_way += 1
        try:
            route = self._route(scope, path, tail)
            body = await read() if scope["method"] != "GET" else b""
            call = Call(body, scope["query_string"], tail, scope["headers"])
            return await route.handler(call), call
        except Exception as error:  # noqa: BLE001 - each failure has its answer
            return self._failed(scope, path, error), call
        finally:
            self._calls.under_way -= 1

    def _route(self, scope: Any, path: str, tail: str) -> Route:
        methods = self._routes.get(path)
        if methods is None or (path.endswith("/") and len(path) > 1 and not tail):
            raise Refused(404, "there is nothing here; see /openapi.json")
        route = methods.get(scope["method"])
        if route is None:
            allowed = ", ".join(sorted(methods)).encode()
            raise Refused(405, f"this path answers {allowed.decode()}", [(b"allow", allowed)])
        if not route.open:
            self._tokens.check(scope["headers"])
            if self._calls.under_way > self._limits.calls_at_once:
                raise Refused(503, "too many calls at once; try again", [(b"retry-after", b"1")])
        return route

    def _failed(self, scope: Any, path: str, error: Exception) -> Answer:
        if isinstance(error, Refused):
            answer = Answer(orjson.dumps({"error": str(error)}), error.status, headers=error.headers)
        elif isinstance(error, InvalidRequest | UserError):
            answer = json_answer({"error": _encodable(str(error))}, 422)
        elif isinstance(error, TimeoutError):
            answer = json_answer({"error": "the answer took too long"}, 503)
        elif isinstance(error, LakeloopError):
            answer = json_answer({"error": _encodable(str(error))}, 500)
        else:
            answer = json_answer({"error": "the server failed; its log says more"}, 500)
        log_failure(scope["method"], path, answer.status, error)
        return answer


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


async def in_thread(function: Callable[..., Any], *arguments: Any, seconds: float = ANSWER_SECONDS) -> Any:
    """A blocking call beside the event loop.

    Raises:
        TimeoutError: it took longer than `seconds`; it goes on, its result is dropped.
    """
    async with asyncio.timeout(seconds):
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
