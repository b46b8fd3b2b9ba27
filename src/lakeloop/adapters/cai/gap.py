"""How long an endpoint did not answer while it was redeployed in place: asked all the while, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self


class GapMeter:
    """Context manager; `seconds` is the longest time without an answer, between two looks."""

    def __init__(self, answers: Callable[[], bool], pause_seconds: float) -> None:
        self._answers, self._pause = answers, pause_seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seconds, self.looks = 0.0, 0

    def __enter__(self) -> Self:
        """Start looking."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time, then stop."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.monotonic()
        while True:
            ended = self._end.is_set()
            answered, now = self._answers(), time.monotonic()
            self.looks += 1
            if answered:
                last = now
            else:
                self.seconds = max(self.seconds, now - last)
            if ended:
                return
            self._end.wait(self._pause)
