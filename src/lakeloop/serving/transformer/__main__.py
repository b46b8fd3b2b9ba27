"""`python -m lakeloop.serving.transformer`: features for a predictor, as KServe starts a transformer."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import IDENTITY_VARIABLE
from lakeloop.serving.listener import add_listener_options, add_model_options, announce, bind, reserve, say


def main() -> int:
    """Meet the predictor, open the port, answer until SIGTERM; the exit code."""
    options = _options()
    try:
        listener = bind(options.host, options.port)
        grpc = None if options.grpc_port is None else reserve(options.host, options.grpc_port)
        return _serve(options, listener, grpc)
    except (LakeloopError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1


def _serve(options: argparse.Namespace, listener: socket.socket, grpc: socket.socket | None) -> int:
    from lakeloop.bootstrap import online_store
    from lakeloop.domain.rollout import Identity
    from lakeloop.serving.api import Guards
    from lakeloop.serving.http import Tokens
    from lakeloop.serving.predictor.answering import Predictor
    from lakeloop.serving.predictor.lookup import FeatureLookup
    from lakeloop.serving.predictor.serving import Sockets, answer_until_end
    from lakeloop.serving.tracing import tracing_of
    from lakeloop.serving.transformer.meeting import meet
    from lakeloop.serving.transformer.predictor_behind import PredictorBehind
    from lakeloop.settings import Settings

    told = os.environ.get(IDENTITY_VARIABLE)
    tokens = Tokens.of_environment(dict(os.environ))
    expected = Identity.model_validate_json(told) if told else None
    met = meet(options.predictor_host, expected, tokens.own, options.predictor_seconds)
    function, identity = met.function, met.function.identity
    if options.model_name not in {None, identity.model_name}:
        raise LakeloopError(f"the predictor's model is {identity.model_name}, not {options.model_name}")
    function.matrices_of_nothing()
    guards = Guards(tokens, tracing=tracing_of(os.environ, "transformer", identity.version))
    header = [(b"authorization", f"Bearer {tokens.own}".encode())] if tokens.own else []
    behind = PredictorBehind(met.url, identity, function.encoding.names, header, guards.tracing)
    lookup = FeatureLookup(function, online_store(Settings())) if options.online_features else None

    def ready() -> None:
        announce(options.port_file, listener, grpc)
        say(f"transformer of {identity.model_name} v{identity.version}, for {met.url}", listener, grpc)

    transformer = Predictor(function, behind, lookup=lookup)
    answer_until_end(
        transformer, "transformer", guards, Sockets(listener, grpc, options.drain_seconds), ready
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.transformer", description=__doc__)
    parser.add_argument(
        "--predictor_host",
        required=True,
        help="name of the predictor, with its port or without; KServe adds it",
    )
    parser.add_argument("--model_name", help="what the predictor's model must be called")
    add_listener_options(parser)
    parser.add_argument("--http_port", type=int, dest="port", help="as --port; KServe's word for it")
    add_model_options(parser)
    parser.add_argument(
        "--predictor-seconds",
        type=float,
        default=600.0,
        help="how long the predictor may take to answer first",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
