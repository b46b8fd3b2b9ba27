"""A server process of lakeloop: its socket, the file that says where it listens, and its end."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

GRACE_SECONDS = 20
KEEP_ALIVE_SECONDS = 75
"""Longer than any client here keeps an idle connection: no server closes one that is about to be used."""

AsgiApp = Callable[..., Awaitable[None]]


def add_listener_options(parser: argparse.ArgumentParser) -> None:
    """Where a server listens, who is told, and how it ends; as each one's command line says it."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--port-file", type=Path, help="where to write pid and port as JSON, once it answers")
    parser.add_argument("--drain-seconds", type=float, default=0.0, help="answer on so long after SIGTERM")


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    Raises:
        OSError: the port is taken, or not allowed.
    """
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What a predictor and a transformer take alike."""
    parser.add_argument(
        "--grpc-port",
        type=int,
        help="answer the Open Inference Protocol by gRPC here, too; 0: a free port; left out: no gRPC",
    )
    parser.add_argument(
        "--online-features", action="store_true", help="answer ids from LAKELOOP_ONLINE_STORE_URI, too"
    )


def reserve(host: str, port: int) -> socket.socket:
    """A TCP port that this server's processes can all listen on (SO_REUSEPORT), and no other server; 0: a free one.

    The socket itself only holds the port. Without the first look, a second server would share the port of one that
    runs already, and each would answer some of the other's calls.

    Raises:
        OSError: the port is taken, or not allowed.
    """
    with socket.socket() as look:
        look.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        look.bind((host, port))
        free = look.getsockname()[1]
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((host, free))
    except OSError:
        held.close()
        raise
    return held


def address_of(listener: socket.socket) -> str:
    """`host:port`."""
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"


def announce(port_file: Path | None, listener: socket.socket, grpc: socket.socket | None = None) -> None:
    """Write `{"pid", "port"}`, and `grpc_port`, atomically, so that a reader never sees half of it."""
    if port_file is None:
        return
    record = {"pid": os.getpid(), "port": listener.getsockname()[1]}
    if grpc is not None:
        record["grpc_port"] = grpc.getsockname()[1]
    temporary = port_file.with_name(f".{port_file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(record), encoding="utf-8")
    temporary.replace(port_file)


def say(what: str, listener: socket.socket, grpc: socket.socket | None = None) -> None:
    """One line in the process's log."""
    beside = f", gRPC at {address_of(grpc)}" if grpc is not None else ""
    print(f"{what} at http://{address_of(listener)}{beside}, process {os.getpid()}", flush=True)  # noqa: T201


class Draining:
    """ASGI application around another: once `started`, each answer asks its caller for a new connection."""

    def __init__(self, app: AsgiApp) -> None:
        self._app, self.started = app, False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request."""

        async def send_on(message: dict[str, Any]) -> None:
            if self.started and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, send_on)


def serve(
    app: AsgiApp | Any, listener: socket.socket, drain_seconds: float = 0.0, *, lifespan: bool = False
) -> None:
    """Answer until SIGTERM or SIGINT; requests in flight are finished first, for at most `GRACE_SECONDS`.

    Args:
        app: ASGI application.
        listener: a listening socket.
        drain_seconds: how long after SIGTERM new requests are still answered: a cluster tells everybody that a
            pod ends at the same time as the pod itself, and takes seconds to stop sending requests to it.
        lifespan: the application is told of start and end (ASGI's lifespan), and may refuse the start.

    Raises:
        SystemExit: it did; the log says why.
    """
    import uvicorn

    draining = Draining(app)
    config = uvicorn.Config(
        draining if drain_seconds else app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on" if lifespan else "off",
        proxy_headers=False,
        ws="none",
    )

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - as uvicorn calls it
            # Not uvicorn's own, which raises the signal anew at the end: what comes after `serve` would not be reached.
            if draining.started or not drain_seconds:
                self.force_exit |= self.should_exit and sig == signal.SIGINT
                self.should_exit = True
                return
            draining.started = True
            timer = threading.Timer(drain_seconds, lambda: setattr(self, "should_exit", True))
            timer.daemon = True
            timer.start()

    config.load()
    # What is loaded stays: without this, each full collection walks it, and every call waits for 50 ms. The rows of
    # calls under way are no garbage either: a round every 700 of them finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    Server(config).run(sockets=[listener])
