"""The gRPC server beside the HTTP server: the same event loop, the same process, a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import grpc
import orjson
from grpc import aio

from lakeloop.serving.api import Api, Limits
from lakeloop.serving.http import BODY_SECONDS, Refused
from lakeloop.serving.listener import GRACE_SECONDS

_OK = 200
_CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_CONNECTION_SECONDS = 300
"""Then a connection is renewed, so that callers find pods that have come since."""
_PROBES_BESIDE = 64
"""Calls over the limit that are still heard: health checks, and those that are told that it is too many."""


class WithGrpc:
    """ASGI application around the HTTP one: gRPC starts before the first request and ends after the last."""

    def __init__(
        self, http: Api, service: Api, address: str, limits: Limits, started: Callable[[], None]
    ) -> None:
        """Not started yet.

        Args:
            http: what answers HTTP.
            service: what answers gRPC, by the method's path.
            address: `host:port`, shared with this server's other processes.
            limits: of one call.
            started: called once gRPC answers.
        """
        self._http, self._service, self._address = http, service, address
        self._limits, self._started = limits, started

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request, or the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._http(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            server = await self._start()
        except (OSError, RuntimeError) as error:
            message = f"gRPC cannot be served on {self._address}: {error}"
            await send({"type": "lifespan.startup.failed", "message": message})
            return
        self._started()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await server.stop(GRACE_SECONDS)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> aio.Server:
        options = [
            ("grpc.max_receive_message_length", self._limits.body_bytes),
            ("grpc.max_connection_age_ms", _CONNECTION_SECONDS * 1000),
            ("grpc.so_reuseport", 1),
        ]
        server = aio.server(
            options=options, maximum_concurrent_rpcs=self._limits.calls_at_once + _PROBES_BESIDE
        )
        server.add_generic_rpc_handlers((_Methods(self._service),))
        server.add_insecure_port(self._address)
        await server.start()
        return server


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Every method as bytes in, bytes out. As a stream of one message: the token is looked at before the message."""

    def __init__(self, service: Api) -> None:
        self._service = service

    def service(self, handler_call_details: Any) -> Any:
        """The method's handler; None, which gRPC answers UNIMPLEMENTED, where there is none."""
        path = handler_call_details.method
        if not self._service.knows(path):
            return None
        return grpc.stream_unary_rpc_method_handler(partial(self._answer, path))

    async def _answer(self, path: str, sent: AsyncIterator[bytes], context: Any) -> bytes:
        headers = [
            (k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in context.invocation_metadata()
        ]
        scope = {"method": "POST", "path": path, "query_string": b"", "headers": headers}
        answer = await self._service.answer(scope, partial(_message, sent))
        if answer.status != _OK:
            code = _CODES.get(answer.status, grpc.StatusCode.INTERNAL)
            await context.abort(code, orjson.loads(answer.content)["error"])
        return answer.content


async def _message(sent: AsyncIterator[bytes]) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await anext(sent)
    except TimeoutError:
        raise Refused(408, f"the message did not arrive within {BODY_SECONDS:g} s") from None
    except StopAsyncIteration:
        raise Refused(
            400, "the call has no message, or one over the limit"
        ) from None  # which gRPC tells the caller
