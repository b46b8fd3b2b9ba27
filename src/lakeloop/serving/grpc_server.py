"""A gRPC server beside an HTTP server: the same event loop, the same process, a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
from grpc import aio

from lakeloop.serving.api import Limits
from lakeloop.serving.http import BODY_SECONDS, Refused
from lakeloop.serving.listener import GRACE_SECONDS, AsgiApp

SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
STATUS_KEY = "lakeloop-status"
"""Metadata behind a refusal: the status that REST would have. Whoever has it was answered by a server of ours."""
CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""Status of REST -> code; INTERNAL for any other."""
_CONNECTION_SECONDS = 300
"""Then a connection is renewed, so that callers find pods that have come since."""
_PROBES_BESIDE = 64
"""Calls over the limit that are still heard: health checks, and those that are told that it is too many."""


class WithGrpc:
    """ASGI application around the HTTP one: gRPC starts before the first request and ends after the last."""

    def __init__(
        self,
        http: AsgiApp,
        methods: grpc.GenericRpcHandler,
        address: str,
        limits: Limits,
        started: Callable[[], None],
    ) -> None:
        """Not started yet.

        Args:
            http: what answers HTTP.
            methods: what answers gRPC.
            address: `host:port`, shared with this server's other processes.
            limits: of one call.
            started: called once gRPC answers.
        """
        self._http, self._methods, self._address = http, methods, address
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
        server.add_generic_rpc_handlers((self._methods,))
        server.add_insecure_port(self._address)
        await server.start()
        return server


async def the_message(sent: AsyncIterator[bytes]) -> bytes:
    """The one message of a call.

    Raises:
        Refused: 408, it does not arrive in time; 400, there is none.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await anext(sent)
    except TimeoutError:
        raise Refused(408, f"the message did not arrive within {BODY_SECONDS:g} s") from None
    except StopAsyncIteration:
        raise Refused(
            400, "the call has no message, or one over the limit"
        ) from None  # which gRPC tells the caller
