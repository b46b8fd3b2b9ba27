"""A prediction's id: unique among all predictions of all processes, and cheap to make."""

from __future__ import annotations

import struct
from uuid import uuid4

_IDS_A_BASE = 2**32 - 1


class PredictionIds:
    """Unique 32-digit hex ids: 24 random digits a process, then a count."""

    def __init__(self) -> None:
        self._base, self._next = uuid4().hex[:24], 0

    def take(self, count: int) -> list[str]:
        """The next `count` ids."""
        if self._next + count > _IDS_A_BASE:
            self._base, self._next = uuid4().hex[:24], 0
        first, self._next = self._next, self._next + count
        counts = struct.pack(f">{count}I", *range(first, self._next))
        return [self._base + digits for digits in counts.hex(",", 4).split(",")]
