"""`python -m lakeloop.serving.predictor`: the server of one model."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import IDENTITY_VARIABLE
from lakeloop.runtime import light_xgboost
from lakeloop.serving.listener import add_listener_options, add_model_options, announce, bind, reserve, say
from lakeloop.serving.workers import Workers, in_child


def main() -> int:
    """Fetch, load and check the model, open the port, answer until SIGTERM; the exit code."""
    options = _options()
    if options.model_uri and in_child(lambda: _fetch(options)):
        return 1
    try:
        listener = bind(options.host, options.port)
        grpc = None if options.grpc_port is None else reserve(options.host, options.grpc_port)
    except OSError as error:
        return _fail(error)

    def ready() -> None:
        announce(options.port_file, listener, grpc)
        say(f"predictor of {options.model_folder}", listener, grpc)

    def work(told: Callable[[], None]) -> int:
        return _serve(options, listener, grpc, told)

    if options.workers == 1:
        return work(ready)
    with tempfile.TemporaryDirectory(prefix="lakeloop-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return Workers(options.workers, work).run(ready)


def _fetch(options: argparse.Namespace) -> int:
    from lakeloop.serving.model_fetch import fetch

    try:
        fetch(options.model_uri, options.model_folder, os.environ.get(IDENTITY_VARIABLE, ""))
    except (LakeloopError, OSError) as error:
        return _fail(error)
    return 0


def _serve(
    options: argparse.Namespace,
    listener: socket.socket,
    grpc: socket.socket | None,
    ready: Callable[[], None],
) -> int:
    light_xgboost.load()
    from lakeloop.bootstrap import online_store
    from lakeloop.serving.api import Guards, Limits
    from lakeloop.serving.http import Tokens
    from lakeloop.serving.model import load
    from lakeloop.serving.prediction_log.segments import SegmentWriter
    from lakeloop.serving.predictor.app import as_told, build_predictor
    from lakeloop.serving.predictor.lookup import FeatureLookup
    from lakeloop.serving.predictor.ready_features import MAX_BYTES
    from lakeloop.serving.predictor.serving import Sockets, answer_until_end
    from lakeloop.serving.tracing import tracing_of
    from lakeloop.settings import Settings

    try:
        loaded = load(options.model_folder)
        model = as_told(loaded)
        model.warm_up()
        identity = loaded.identity.model_dump(mode="json")
        folder = options.prediction_log
        columns = model.encoding.source_columns
        writer = SegmentWriter(folder, {"identity": identity, "columns": columns}) if folder else None
        guards = Guards(
            Tokens.of_environment(dict(os.environ)),
            Limits(body_bytes=MAX_BYTES) if options.ready_features else Limits(),
            tracing=tracing_of(os.environ, "predictor", model.identity.version),
        )
        lookup = FeatureLookup(model, online_store(Settings())) if options.online_features else None
        predictor = build_predictor(
            model,
            writer,
            log_to_disk=options.log_to_disk,
            lookup=lookup,
            takes_ready=options.ready_features,
        )
    except (LakeloopError, OSError, ValueError) as error:
        return _fail(error)
    answer_until_end(predictor, "predictor", guards, Sockets(listener, grpc, options.drain_seconds), ready)
    finishing = writer.close() if writer else None
    if finishing is not None:
        finishing.join()
    return 0


def _fail(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.predictor", description=__doc__)
    parser.add_argument("--model-folder", type=Path, required=True)
    parser.add_argument(
        "--model-uri",
        help=f"fetch the model from here first; its identity is in {IDENTITY_VARIABLE}, as JSON",
    )
    add_listener_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--workers", type=int, choices=range(1, 65), default=1, metavar="1-64", help="processes"
    )
    parser.add_argument(
        "--ready-features",
        action="store_true",
        help="a transformer stands before this server: take the features that it made, too",
    )
    parser.add_argument(
        "--prediction-log",
        type=Path,
        default=os.environ.get("LAKELOOP_PREDICTION_LOG"),
        help="folder of the prediction log's segments",
    )
    parser.add_argument(
        "--log-to-disk", action="store_true", help="answer when the disk has the log, not its cache"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
