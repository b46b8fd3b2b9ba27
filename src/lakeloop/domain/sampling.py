"""Seeded samples of rows by their key: the same rows on every machine, in every order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def key_hash(columns: Sequence[pa.Array | pa.ChunkedArray], seed: int) -> Hashes:
    """64 bits a row of the key's text: FNV-1a (Fowler, Noll, Vo), then splitmix64's finaliser with the seed.

    Stable over platforms, versions and batch boundaries, unlike any engine's own hash.
    """
    texts = [pc.fill_null(pc.cast(column, pa.string()), "\x00") for column in columns]
    joined = pc.binary_join_element_wise(*texts, "\x1f")
    array = joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
    hashes = _fnv1a(array)
    with np.errstate(over="ignore"):
        hashes += np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def in_sample(hashes: Hashes, fraction: float) -> Mask:
    """True for a `fraction` of uniform hashes; a larger fraction keeps what a smaller one kept."""
    return hashes.astype(np.float64) < fraction * 2.0**64


def _fnv1a(texts: pa.StringArray) -> Hashes:
    lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    data = np.frombuffer(b"".join(texts.cast(pa.binary()).to_pylist()), np.uint8)
    hashes = np.full(len(texts), 0xCBF29CE484222325, np.uint64)
    with np.errstate(over="ignore"):
        for position in range(int(lengths.max(initial=0))):
            rows = np.flatnonzero(lengths > position)
            hashes[rows] = (hashes[rows] ^ data[starts[rows] + position]) * np.uint64(0x100000001B3)
    return hashes
