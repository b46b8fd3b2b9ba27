"""`python -m lakeloop.serving.gateway`: the process on an endpoint's stable port."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from lakeloop.serving.gateway.app import Gateway
from lakeloop.serving.gateway.backends import Backends
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.gateway.routes_source import RoutesSource
from lakeloop.serving.gateway.routes_watch import RoutesWatch, in_cluster_api
from lakeloop.serving.listener import (
    AsgiApp,
    add_listener_options,
    address_of,
    announce,
    bind,
    reserve,
    say,
    serve,
)


def main() -> int:
    """Open the port and pass requests on until SIGTERM; the exit code."""
    options = _options()
    try:
        listener = bind(options.host, options.port)
        grpc = None if options.grpc_port is None else reserve(options.host, options.grpc_port)
    except OSError as error:
        print(f"error: port {options.port}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1

    def ready() -> None:
        announce(options.port_file, listener, grpc)
        say(f"gateway of {options.endpoint}", listener, grpc)

    routes, backends = _routes(options), Backends()
    app = Gateway(options.endpoint, routes, backends)
    if grpc is None:
        ready()
        serve(app, listener, options.drain_seconds)
    else:
        both = _with_grpc(app, routes, backends, options.backend_grpc_port, grpc, ready)
        serve(both, listener, options.drain_seconds, lifespan=True)
    return 0


def _with_grpc(  # noqa: PLR0913, PLR0917 - all that the two interfaces share
    app: AsgiApp,
    routes: RoutesSource,
    counts: Backends,
    backend_port: int,
    held: socket.socket,
    ready: Callable[[], None],
) -> AsgiApp:
    from lakeloop.serving.api import Limits
    from lakeloop.serving.gateway.grpc_calls import GrpcBackends, GrpcCalls
    from lakeloop.serving.grpc_server import WithGrpc

    calls = GrpcCalls(routes, GrpcBackends(backend_port, counts))
    return WithGrpc(app, calls, address_of(held), Limits(), ready)


def _routes(options: argparse.Namespace) -> RoutesSource:
    if options.routes:
        return RoutesFile(options.routes)
    namespace, _, name = options.routes_config_map.partition("/")
    watch = RoutesWatch(in_cluster_api(), namespace, name)
    watch.start()
    return watch


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.gateway", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="its name, told in /gateway/status")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--routes", type=Path, help="file with JSON of lakeloop.domain.routes.Routes")
    where.add_argument(
        "--routes-config-map", metavar="NAMESPACE/NAME", help="the same in a ConfigMap, key routes.json"
    )
    add_listener_options(parser)
    parser.add_argument("--grpc-port", type=int, help="pass gRPC calls on from here, too; left out: no gRPC")
    parser.add_argument(
        "--backend-grpc-port", type=int, default=8081, help="where every backend's host answers gRPC"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
