"""`lakeloop ...` in a process forked from one that has imported everything; its steps are forked from it again.

The command, the runner and the steps are the product's own. Only imports are spared: a crash matrix starts hundreds
of processes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lakeloop.cli import main as lakeloop
from lakeloop.runners.process import running
from lakeloop.runners.process.warm import WarmInterpreter, WarmProcess, _start_up
from lakeloop.runners.process.zygote import _become, _end, serve
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case
from tests.faults.crash_matrix.facts import facts


class _Child:
    def __init__(self, pid: int) -> None:
        self._pid = pid

    def terminate(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)

    def wait(self, timeout: float) -> None:  # noqa: ARG002 - as Popen has it
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


class ForkedInterpreter(WarmInterpreter):
    """Ready at once: a fork of this process instead of a new one that imports."""

    def __init__(
        self,
        modules: Sequence[str],  # noqa: ARG002 - all are imported
        folder: Path,  # noqa: ARG002
        environment: Mapping[str, str],
        later: Sequence[str] = (),  # noqa: ARG002
    ) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _serve_and_leave(theirs)
        theirs.close()
        self._connection, self._process = ours, _Child(pid)
        self._processes: dict[str, WarmProcess] = {}
        self._ready, self._lock = threading.Event(), threading.Lock()
        self._start_up = _start_up(environment)
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._ready.wait(60):
            raise TimeoutError("the forked interpreter did not answer in 60 s")


def _serve_and_leave(connection: socket.socket) -> None:
    code = 1
    try:
        request = serve(connection, [], [])
        code = 0 if request is None else _become(request)
    finally:
        _end(code)


def main() -> None:
    """`facts USE_CASE_FILE JSON_FILE` keeps what there is to see; everything else is the product's command."""
    if sys.argv[1] == "facts":
        found = facts(Settings(), load_use_case(sys.argv[2]))
        Path(sys.argv[3]).write_text(json.dumps(found, default=str), encoding="utf-8")
        return
    os.environ["LAKELOOP_TEST_RUNNER"] = str(os.getpid())
    running.WarmInterpreter = ForkedInterpreter  # type: ignore[misc]
    lakeloop()


if __name__ == "__main__":
    main()
