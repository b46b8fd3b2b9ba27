"""The gateway's gRPC interface: each call of the inference service goes on to a routed backend, as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2

from lakeloop.domain.routes import Backend
from lakeloop.serving.gateway.app import NO_MODEL, VERSION_HEADER, attempts
from lakeloop.serving.gateway.backends import ANSWER_SECONDS, Backends
from lakeloop.serving.gateway.routes_source import RoutesSource
from lakeloop.serving.grpc_server import CODES, HEALTH, SERVICE, STATUS_KEY, the_message
from lakeloop.serving.http import Refused
from lakeloop.serving.structured_log import log

_CONNECTIONS = 4
"""To one backend: a connection stays with one of its pods."""
_OPTIONS = {
    "max_send_message_length": -1,
    "max_receive_message_length": -1,
    "use_local_subchannel_pool": 1,  # connections of its own
    "enable_retries": 0,
    "enable_http_proxy": 0,
}
_HOP_BY_HOP = {"user-agent", "te", "content-type"}

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(slots=True, eq=False)
class _Connection:
    channel: aio.Channel
    under_way: int = 0
    retired: bool = False


class GrpcBackends:
    """Connections to backends by URL, each at its host's gRPC port; used from one event loop only."""

    def __init__(self, port: int, counts: Backends) -> None:
        """Every backend answers gRPC at `port`; `counts` are those of /gateway/status."""
        self._port, self._counts = port, counts
        self._connections: dict[str, list[_Connection]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, url: str, path: str, message: bytes, metadata: Metadata, seconds: float) -> bytes:
        """One call; its answer.

        Raises:
            aio.AioRpcError: refused, or not answered in so many seconds.
        """
        connection = self._next(url)
        connection.under_way += 1
        try:
            with self._counts.counted(url):
                method = connection.channel.unary_unary(path)
                answer: bytes = await method(message, timeout=seconds, metadata=metadata)
        except aio.AioRpcError as error:
            if not answered_by_server(error):  # the connection may lead to a pod that is gone
                connection.retired = True
            raise
        finally:
            connection.under_way -= 1
            self._close_idle(connection)
        return answer

    async def keep(self, urls: Collection[str]) -> None:
        """Close the connections to other backends, once nothing is under way there."""
        for url in [url for url in self._connections if url not in urls]:
            for connection in self._connections.pop(url):
                connection.retired = True
                self._close_idle(connection)

    def _next(self, url: str) -> _Connection:
        """By turns."""
        usable = [known for known in self._connections.get(url, []) if not known.retired]
        if len(usable) < _CONNECTIONS:
            options = [(f"grpc.{name}", value) for name, value in _OPTIONS.items()]
            channel = aio.insecure_channel(f"{urlsplit(url).hostname}:{self._port}", options=options)
            usable.append(_Connection(channel))
        else:
            usable.append(usable.pop(0))
        self._connections[url] = usable
        return usable[-1]

    def _close_idle(self, connection: _Connection) -> None:
        """Closing cancels what is under way (grpcio's grace may miss a call that has just begun)."""
        if connection.retired and not connection.under_way:
            task = asyncio.get_running_loop().create_task(connection.channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def answered_by_server(error: aio.AioRpcError) -> bool:
    """Whether a predictor refused the call; else it did not get there, or its answer not back."""
    return any(key == STATUS_KEY for key, _ in error.trailing_metadata() or ()) or error.code() not in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,  # by a server that ended as the call came in
    }


class GrpcCalls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Every method of the inference service, and the gateway's own health."""

    def __init__(self, routes: RoutesSource, backends: GrpcBackends) -> None:
        self._routes, self._backends = routes, backends

    def service(self, handler_call_details: Any) -> Any:
        """The method's handler; None, which gRPC answers UNIMPLEMENTED, of other services."""
        path = handler_call_details.method
        if path == f"/{HEALTH}/Check":
            return grpc.unary_unary_rpc_method_handler(self._health)
        if path.startswith(f"/{SERVICE}/"):
            return grpc.stream_unary_rpc_method_handler(partial(self._pass_on, path))
        return None

    async def _health(self, _: bytes, __: Any) -> bytes:
        status = "SERVING" if self._routes.ready else "NOT_SERVING"
        content: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return content

    async def _pass_on(self, path: str, sent: AsyncIterator[bytes], context: Any) -> bytes:
        try:
            message = await the_message(sent)
        except Refused as error:
            await context.abort(CODES[error.status], str(error), ((STATUS_KEY, str(error.status)),))
        routes = self._routes.current()
        await self._backends.keep({backend.url for backend in routes.backends})
        metadata = _end_to_end(context.invocation_metadata())
        problem = NO_MODEL
        for backend, seconds in attempts(routes.backends):
            try:
                answer = await self._backends.send(backend.url, path, message, metadata, seconds)
            except aio.AioRpcError as error:
                if answered_by_server(error):
                    await context.abort(error.code(), error.details(), _told(backend, error))
                problem = f"version {backend.version} did not answer: {error.code().name}"
                log("backend did not answer", "error", version=backend.version, error=error.code().name)
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and seconds == ANSWER_SECONDS:
                    break
            else:
                context.set_trailing_metadata(_told(backend))
                return answer
        return await _abort_unanswered(context, problem)


async def _abort_unanswered(context: Any, problem: str) -> bytes:
    await context.abort(grpc.StatusCode.UNAVAILABLE, problem, ((STATUS_KEY, "503"),))
    return b""


def _told(backend: Backend, error: aio.AioRpcError | None = None) -> Metadata:
    """Behind an answer: whose it is, and of a refusal its status."""
    status = tuple((k, v) for k, v in (error.trailing_metadata() or ()) if k == STATUS_KEY) if error else ()
    return (*status, (VERSION_HEADER.decode(), backend.version))


def _end_to_end(metadata: Metadata) -> Metadata:
    return tuple((k, v) for k, v in metadata if k not in _HOP_BY_HOP and not k.startswith("grpc-"))
