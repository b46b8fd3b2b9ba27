"""`python -m lakeloop.serving.predictor`: the server process of one model."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import IDENTITY_VARIABLE
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.serving.listener import announce, bind, say, serve
from lakeloop.serving.model import load
from lakeloop.serving.model_fetch import fetch


def main() -> int:
    """Fetch, load and check the model, open the port, answer until SIGTERM; the exit code."""
    options = _options()
    try:
        if options.model_uri:
            fetch(options.model_uri, options.model_folder, os.environ.get(IDENTITY_VARIABLE, ""))
        model = load(options.model_folder)
        model.warm_up()
        listener = bind(options.host, options.port)
    except (LakeloopError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    from lakeloop.serving.predictor.app import build_app

    app = build_app(model)
    announce(options.port_file, listener)
    say(f"{model.identity.model_name} version {model.identity.version}", listener)
    serve(app, listener, options.drain_seconds)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.predictor", description=__doc__)
    parser.add_argument("--model-folder", type=Path, required=True)
    parser.add_argument(
        "--model-uri",
        help=f"fetch the model from here first; its identity is in {IDENTITY_VARIABLE}, as JSON",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--port-file", type=Path, help="where to write pid and port as JSON, once it answers")
    parser.add_argument("--drain-seconds", type=float, default=0.0, help="answer on so long after SIGTERM")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
