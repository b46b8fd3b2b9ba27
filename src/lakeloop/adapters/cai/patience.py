"""Waiting with a limit: pauses that grow, and a word about what is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

GROWTH = 1.5


@dataclass(frozen=True)
class Patience:
    """How long to pause between two looks, in seconds.

    Attributes:
        first: the first pause; each one after it is half as long again, up to `most`.
        call: limit of one call to the workbench.
        look: how long a call whose answer was lost is looked for, once it may have had an effect.
        long_look: the same, where the platform itself gave up waiting for its own work.
    """

    first: float = 2.0
    most: float = 15.0
    call: float = 60.0
    look: float = 15.0
    long_look: float = 120.0

    def looks(self, limit_seconds: float) -> Iterator[float]:
        """Seconds since the start, at each look; at least one look, the last one at the limit."""
        start, pause = time.monotonic(), self.first
        while True:
            yield time.monotonic() - start
            left = limit_seconds - (time.monotonic() - start)
            if left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(pause * GROWTH, self.most)

    def pause(self, attempt: int) -> None:
        """Before attempt number `attempt`, counted from 0, of a call."""
        if attempt:
            time.sleep(min(self.first * GROWTH ** (attempt - 1), self.most))


def patience() -> Patience:
    """The default; pauses and look-up times scaled by LAKELOOP_CAI_TIME_SCALE (an emulated workbench is faster).

    LAKELOOP_CAI_CALL_SECONDS limits one call; default 60.
    """
    scale = float(os.environ.get("LAKELOOP_CAI_TIME_SCALE") or 1)
    usual = Patience()
    return Patience(
        first=usual.first * scale,
        most=usual.most * scale,
        call=float(os.environ.get("LAKELOOP_CAI_CALL_SECONDS") or usual.call),
        look=usual.look * scale,
        long_look=usual.long_look * scale,
    )


Tell = Callable[[str], None]
