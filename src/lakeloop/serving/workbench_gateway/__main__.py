"""`python -m lakeloop.serving.workbench_gateway`: the gateway of a blue_green endpoint; a CAI Application runs it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lakeloop import bootstrap
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.domain.errors import LakeloopError
from lakeloop.serving.gateway.app import Gateway
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.listener import announce, bind, say, serve
from lakeloop.serving.workbench_gateway.backends import WorkbenchBackends


def main() -> int:
    """Open the port and pass requests on until SIGTERM; the exit code."""
    options = _options()
    try:
        backends = _backends()
        listener = bind(options.host, options.port)
    except (LakeloopError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    announce(options.port_file, listener)
    say(f"gateway of {options.endpoint}", listener)
    serve(Gateway(options.endpoint, RoutesFile(options.routes), backends), listener)
    return 0


def _backends() -> WorkbenchBackends:
    api = bootstrap.workbench_api(lambda text: print(text, flush=True))  # noqa: T201

    def access_key(name: str) -> str:
        found = WorkbenchModel(api, name).find()
        if found is None:
            raise LakeloopError("there is no such model", where=name)
        return str(found["access_key"])

    return WorkbenchBackends(access_key, api.where.model_key)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.workbench_gateway", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="its name, told in /gateway/status")
    parser.add_argument(
        "--routes", type=Path, required=True, help="file with JSON of lakeloop.domain.routes.Routes"
    )
    # A CAI Application must listen on the loopback interface, on the port that the platform names.
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("CDSW_APP_PORT") or 0))
    parser.add_argument("--port-file", type=Path, help="where to write pid and port as JSON, once it answers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
