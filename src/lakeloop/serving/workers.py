"""Several worker processes that accept from one listening socket, under a parent that replaces the dead."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

READY_SECONDS = 120.0
MAX_DEATHS = 5
DEATHS_SECONDS = 60.0

Work = Callable[[Callable[[], None]], int]
"""Serves until SIGTERM, calls its argument once it answers, and returns an exit code."""


class Workers:
    """Parent of `count` forked workers; it loads nothing itself, so that a fork copies no thread and no lock."""

    def __init__(self, count: int, work: Work) -> None:
        self._count, self._work = count, work
        self._pids: set[int] = set()
        self._ending = False
        self._deaths: list[float] = []

    def run(self, ready: Callable[[], None]) -> int:
        """Start the workers, call `ready` once all answer, and stay until SIGTERM; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        pipes = [self._start() for _ in range(self._count)]
        if not all([_told(pipe) for pipe in pipes]):  # noqa: C419 - each pipe is read and closed
            self._end()
            self._reap_all()
            return 1
        ready()
        return self._supervise()

    def _start(self) -> int:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            code = 1
            try:
                _end_with_parent()
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL)
                code = self._work(lambda: _tell(writing))
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(writing)
        self._pids.add(pid)
        return reading

    def _supervise(self) -> int:
        while self._pids:
            try:
                pid, status = os.wait()
            except InterruptedError:
                continue
            self._pids.discard(pid)
            if self._ending:
                continue
            now = time.monotonic()
            self._deaths = [at for at in self._deaths if now - at < DEATHS_SECONDS] + [now]
            print(f"worker {pid} died ({status}); replacing it", file=sys.stderr, flush=True)  # noqa: T201
            if len(self._deaths) > MAX_DEATHS:
                print(f"error: more than {MAX_DEATHS} workers died in {DEATHS_SECONDS:g} s", file=sys.stderr)  # noqa: T201
                self._end()
                self._reap_all()
                return 1
            os.close(self._start())
        return 0

    def _end(self, *_: object) -> None:
        self._ending = True
        for pid in list(self._pids):
            os.kill(pid, signal.SIGTERM)

    def _reap_all(self) -> None:
        while self._pids:
            self._pids.discard(os.wait()[0])


def _end_with_parent() -> None:
    """SIGTERM when the parent dies, however it dies (prctl(2), PR_SET_PDEATHSIG; Linux only)."""
    import ctypes

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(1, signal.SIGTERM)


def in_child(work: Callable[[], int]) -> int:
    """The exit code of `work`, done in a process of its own: none of its threads and memory stay in this one."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = work()
        except Exception:  # noqa: BLE001 - what nobody caught is told by whoever ends: here, nobody else
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _tell(pipe: int) -> None:
    try:
        os.write(pipe, b"1")
    except BrokenPipeError:  # a replacement: nobody waits for it
        return
    finally:
        os.close(pipe)


def _told(pipe: int) -> bool:
    import select

    try:
        readable, _, _ = select.select([pipe], [], [], READY_SECONDS)
        return bool(readable) and os.read(pipe, 1) == b"1"
    finally:
        os.close(pipe)
