"""`python -m lakeloop.serving.gateway`: the process on an endpoint's stable port."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lakeloop.serving.gateway.app import Gateway
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.gateway.routes_source import RoutesSource
from lakeloop.serving.gateway.routes_watch import RoutesWatch, in_cluster_api
from lakeloop.serving.listener import add_listener_options, announce, bind, say, serve


def main() -> int:
    """Open the port and pass requests on until SIGTERM; the exit code."""
    options = _options()
    try:
        listener = bind(options.host, options.port)
    except OSError as error:
        print(f"error: port {options.port}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    announce(options.port_file, listener)
    say(f"gateway of {options.endpoint}", listener)
    serve(Gateway(options.endpoint, _routes(options)), listener, options.drain_seconds)
    return 0


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
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
