"""A warm interpreter: imports heavy libraries once, then forks one process for each step that asks.

Importing MLflow and XGBoost takes seconds of a core, again in every step. This process takes them once, while
the first steps run, and a step then starts from a fork of it: its own process, environment, folder, log and
process group, as if started by itself. Protocol, one JSON object a line over the socket on standard input:
`{"ready": true}` from here when the imports are done; `{"start": token, "module", "arguments",
"environment", "folder", "log", "ticket"}` to here; `{"started": token, "pid"}` and `{"ended": token, "code"}` from
here. `code` is as in `subprocess`: negative is a signal. End of the socket ends this process, not the steps.

A request may wait in the socket while this process imports, and its sender may be dead, or tired of waiting, by the
time it is read. So a fork works only if it is the first to take the request's ticket, a file, and it takes it when
its log is open: whoever takes the ticket of a step knows that the step never works, and whoever cannot finds the step
by its log (`processes.end_orphans`).
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from lakeloop.runners.process.tickets import take
from lakeloop.runners.process.warm import LATER

IDLE_SECONDS = 0.3


def serve(connection: socket.socket, first: list[str], later: list[str]) -> dict[str, Any] | None:
    """Import, then fork on demand; returns the request in a forked child, None in the parent at the end.

    Args:
        connection: to the runner.
        first: modules imported before any fork.
        later: modules imported one by one in the shadow of the first forked step, so that the steps before it
            have the cores to themselves.
    """
    for module in first:
        _import_if_present(module)
    gc.freeze()
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _send(connection, {"ready": True})
    return _loop(connection, wake_read, list(later))


def _loop(connection: socket.socket, wake_read: int, later: list[str]) -> dict[str, Any] | None:
    tokens: dict[int, str] = {}
    pending, forked = b"", False
    while True:
        idle_seconds = IDLE_SECONDS if later and forked else None
        readable, _, _ = select.select([connection.fileno(), wake_read], [], [], idle_seconds)
        if not readable:
            _import_if_present(later.pop(0))
            gc.freeze()
        if wake_read in readable:
            os.read(wake_read, 4096)
            _report_ended(connection, tokens)
        if connection.fileno() in readable:
            chunk = connection.recv(1 << 20)
            if not chunk:
                return None
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                request, forked = json.loads(line), True
                pid = os.fork()
                if pid == 0:
                    return _child(request, connection, wake_read)
                tokens[pid] = request["start"]
                _send(connection, {"started": request["start"], "pid": pid})


def _report_ended(connection: socket.socket, tokens: dict[int, str]) -> None:
    while tokens:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _send(connection, {"ended": tokens.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _child(request: dict[str, Any], connection: socket.socket, wake_read: int) -> dict[str, Any]:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.close()
    os.close(wake_read)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    if not take(Path(request["ticket"])):
        os._exit(1)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return request


def _import_if_present(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(f"warm interpreter: {module} is not here: {error}", file=sys.stderr)  # noqa: T201


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def main() -> None:
    """Serve on the socket behind standard input; in a forked child, become the step."""
    connection = socket.socket(fileno=os.dup(0))
    split = sys.argv.index(LATER)
    request = serve(connection, sys.argv[1:split], sys.argv[split + 1 :])
    if request is not None:
        _end(_become(request))


def _become(request: dict[str, Any]) -> int:
    sys.argv = [request["module"], *request["arguments"]]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does: show it, and leave with 1
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> None:
    """Leave as the interpreter would, but without taking down thousands of modules one by one."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as at any end
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
