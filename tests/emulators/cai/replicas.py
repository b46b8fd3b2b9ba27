"""Replicas of a deployment: one request at a time each; who waits too long is told `model.busy`."""

from __future__ import annotations

import threading
from typing import Any

from tests.emulators.cai.errors import ApiError


class Replicas:
    """A worker and as many turns at a time as there are replicas."""

    def __init__(self, worker: Any, count: int, busy_seconds: float) -> None:
        self._worker, self._busy_seconds = worker, busy_seconds
        self._turns = threading.BoundedSemaphore(max(1, count))
        self.served = 0

    def start(self) -> None:
        """Load the model meanwhile."""
        threading.Thread(target=self._worker.start, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return bool(self._worker.ready)

    @property
    def error(self) -> str:
        """Why it never will."""
        return str(self._worker.error)

    def ask(self, request: dict[str, Any]) -> Any:
        """One request, when it is its turn.

        Raises:
            ApiError: 429 after the busy time.
        """
        if not self._turns.acquire(timeout=self._busy_seconds):
            raise ApiError(429, "model.busy")
        try:
            answer = self._worker.ask(request)
            self.served += 1
            return answer
        finally:
            self._turns.release()

    def stop(self) -> None:
        """Let the request under way end, then stop."""
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        self._turns.acquire(timeout=10)
        self._worker.stop()
