"""`python -m lakeloop.serving.prediction_log`: brings the segments of a folder into Iceberg, now and then."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from lakeloop.serving.workers import in_child


def main() -> int:
    """Ship until SIGTERM, and once more then; with --once, once. The exit code.

    A pass is a process of its own: between passes this one holds no library and little memory, and a pass that
    fails leaves the segments where they are for the next one.
    """
    options = _options()
    if options.once:
        return _pass(options.folder)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if options.port_file:
        _announce(options.port_file)
    while not ended.wait(options.every_seconds):
        if any(options.folder.glob("*.segment")):
            in_child(lambda: _pass(options.folder))
    return in_child(lambda: _pass(options.folder)) if any(options.folder.glob("*.segment")) else 0


def _pass(folder: Path) -> int:
    from lakeloop import bootstrap
    from lakeloop.domain.errors import LakeloopError
    from lakeloop.mounts import provide_mounted_variables
    from lakeloop.serving.prediction_log.shipping import ship
    from lakeloop.serving.structured_log import log
    from lakeloop.settings import Settings

    provide_mounted_variables()
    try:
        shipped = ship(folder, bootstrap.row_log(Settings()))
    except LakeloopError as error:
        log("predictions were not shipped; the next pass tries again", "error", error=str(error))
        return 1
    if shipped:
        log("predictions shipped", rows=shipped)
    return 0


def _announce(port_file: Path) -> None:
    import json
    import os

    temporary = port_file.with_name(f".{port_file.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"pid": os.getpid(), "port": 0}), encoding="utf-8")
    temporary.replace(port_file)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lakeloop.serving.prediction_log", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of the predictor's --prediction-log")
    parser.add_argument("--every-seconds", type=float, default=30.0)
    parser.add_argument("--once", action="store_true", help="one pass; fails where it fails")
    parser.add_argument("--port-file", type=Path, help="where to write the pid as JSON, once it runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
