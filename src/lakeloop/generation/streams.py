"""Random numbers by address: the same (key, position) gives the same number, in whatever pieces."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_WORDS_PER_COUNTER = 4


def uniforms(key: tuple[str | int, ...], start: int, count: int) -> Floats:
    """Uniform numbers in (0, 1), open, at positions start .. start + count - 1 of the key's stream.

    Philox4x64-10 is counter-based (Salmon et al., 2011): no position needs those before it.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    bits = np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8"))
    skipped = start % _WORDS_PER_COUNTER
    bits.advance(start // _WORDS_PER_COUNTER)
    words = bits.random_raw(skipped + count)[skipped:]
    return np.asarray((words >> np.uint64(12)).astype(np.float64) * 2.0**-52 + 2.0**-53)
