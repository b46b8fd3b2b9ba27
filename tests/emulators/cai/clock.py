"""Time in the emulator: a workbench's minutes pass in a test's milliseconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(2026, 6, 13, tzinfo=UTC)


class Clock:
    """Seconds since the emulator was made, `speed` times as fast as the world's."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed, self._start = speed, time.monotonic()

    def now(self) -> float:
        """Seconds of the workbench."""
        return (time.monotonic() - self._start) * self.speed

    def real(self, seconds: float) -> float:
        """So many seconds of the workbench, in the world's."""
        return seconds / self.speed

    @staticmethod
    def stamp(seconds: float) -> str:
        """A moment as the API writes it."""
        return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")
