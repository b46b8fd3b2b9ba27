"""`python -m lakeloop.serving.features`: the features API of one use case."""

from __future__ import annotations

import argparse
import os
import sys

from lakeloop import bootstrap
from lakeloop.domain.errors import LakeloopError
from lakeloop.serving.api import Guards
from lakeloop.serving.features.app import build_app
from lakeloop.serving.http import Tokens
from lakeloop.serving.listener import add_listener_options, announce, bind, say, serve
from lakeloop.serving.tracing import tracing_of
from lakeloop.settings import Settings


def main() -> int:
    """Open the port and answer until SIGTERM; the exit code."""
    options = _options()
    try:
        guards = Guards(
            Tokens.of_environment(dict(os.environ)),
            tracing=tracing_of(os.environ, "features", options.use_case),
        )
        app = build_app(options.use_case, bootstrap.online_store(Settings()), guards)
        listener = bind(options.host, options.port)
    except (LakeloopError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    announce(options.port_file, listener)
    say(f"features of {options.use_case}", listener)
    serve(app, listener, options.drain_seconds)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.features", description=__doc__)
    parser.add_argument("--use-case", required=True, help="its name")
    add_listener_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
