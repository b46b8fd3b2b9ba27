"""The labs' model server: loads the file that a URI names, answers rows as lists of numbers.

`python labs_server.py --model FILE --port-file FILE`. It says neither which version it is nor what it runs on.
"""

from __future__ import annotations

import argparse
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.modules["sklearn"] = None  # type: ignore[assignment]  # the booster needs none: a quick start

import numpy as np  # noqa: E402
import xgboost as xgb  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    options = parser.parse_args()
    booster = xgb.Booster(model_file=str(options.model))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            scores = booster.inplace_predict(np.asarray(rows, dtype=np.float32))
            body = json.dumps([float(score) for score in scores]).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    written = options.port_file.with_suffix(".part")
    written.write_text(str(server.server_port))
    written.replace(options.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
