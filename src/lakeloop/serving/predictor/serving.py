"""A process that answers for a model, by HTTP and, where it is asked for, by gRPC, until SIGTERM."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from lakeloop.serving.api import Guards
from lakeloop.serving.listener import address_of, serve
from lakeloop.serving.predictor.answering import Predictor
from lakeloop.serving.predictor.app import http_api, metrics_of
from lakeloop.serving.structured_log import log


@dataclass(frozen=True)
class Sockets:
    """Where a process listens, and how long it answers on after SIGTERM."""

    http: socket.socket
    grpc: socket.socket | None
    drain_seconds: float


def answer_until_end(
    predictor: Predictor, server: str, guards: Guards, sockets: Sockets, ready: Callable[[], None]
) -> None:
    """Answer; `ready` is called once both protocols do.

    Args:
        predictor: what is answered.
        server: its name in metrics.
        guards: around every call.
        sockets: where.
        ready: who is told.

    Raises:
        SystemExit: gRPC cannot be served; the log says why.
    """
    if because := predictor.not_compiled:
        log("features are computed by DuckDB, which is slower", "warning", because=because)
    metrics = metrics_of(predictor, server)
    app = http_api(predictor, metrics, guards)
    if sockets.grpc is None:
        ready()
        serve(app, sockets.http, sockets.drain_seconds)
        return
    from lakeloop.serving.grpc_server import WithGrpc
    from lakeloop.serving.predictor.open_inference.methods import grpc_api
    from lakeloop.serving.predictor.open_inference.server import Methods

    methods = Methods(grpc_api(predictor, metrics, guards))
    both = WithGrpc(app, methods, address_of(sockets.grpc), guards.limits, ready)
    serve(both, sockets.http, sockets.drain_seconds, lifespan=True)
