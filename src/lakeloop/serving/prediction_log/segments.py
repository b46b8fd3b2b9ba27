"""The prediction log's local half: append-only segment files that a power cut or kill -9 cannot half-read.

A segment is a sequence of frames: length of the header (4 bytes, little endian), length of the body (4 bytes), CRC-32
of both together (4 bytes), header (JSON), body (the request as it was sent, or empty). The first frame says who
answered. Its writer holds an exclusive lock (flock) on the file, which the kernel releases when the process dies: a
segment that can be locked is complete. A torn last frame was never acknowledged.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

SUFFIX = ".segment"
SEGMENT_BYTES = 8 * 2**20
SEGMENT_SECONDS = 5.0
_LENGTHS = struct.Struct("<III")


Record = tuple[dict[str, Any], bytes]
"""Header and body."""


def framed(header: dict[str, Any], body: bytes = b"") -> bytes:
    """A record's frame."""
    told = orjson.dumps(header)
    checksum = zlib.crc32(body, zlib.crc32(told))
    return _LENGTHS.pack(len(told), len(body), checksum) + told + body


def read_segment(content: bytes) -> Iterator[Record]:
    """Records of a segment, up to the first torn frame."""
    for header, body, _ in _frames(content):
        yield orjson.loads(header), body


def frames_end(content: bytes) -> int:
    """Bytes of the whole frames at the segment's start."""
    return max((end for _, _, end in _frames(content)), default=0)


def _frames(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    position = 0
    while position + _LENGTHS.size <= len(content):
        told, sent, checksum = _LENGTHS.unpack_from(content, position)
        middle = position + _LENGTHS.size + told
        end = middle + sent
        header, body = content[middle - told : middle], content[middle:end]
        if end > len(content) or zlib.crc32(body, zlib.crc32(header)) != checksum:
            return
        yield header, body, end
        position = end


class SegmentWriter:
    """Appends to one segment after another; used by one thread at a time."""

    def __init__(
        self,
        folder: Path,
        header: dict[str, Any],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Into `folder`.

        Args:
            folder: of segments, made where it is missing.
            header: first record of each segment.
            segment_bytes: a segment is closed when it is larger.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._header, self._bytes = folder, header, segment_bytes
        self._descriptor: int | None = None
        self._size = 0

    def append(self, records: Sequence[Record]) -> None:
        """Records, in the file when this returns (kill -9 does not lose them; `sync` is for power cuts).

        Raises:
            OSError: they are not in the log: disk full, folder gone.
        """
        self._write(b"".join([framed(*record) for record in records]))

    def sync(self) -> None:
        """Onto the disk."""
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)

    def close(self) -> threading.Thread | None:
        """Hand the segment over to the shipper, once a thread has synced it; None where none is open."""
        if self._descriptor is None:
            return None
        thread = threading.Thread(target=_finish, args=(self._descriptor,), name="segment")
        self._descriptor = None
        thread.start()
        return thread

    def _write(self, content: bytes) -> None:
        if self._descriptor is None:
            content = framed({**self._header, "segment": self._open()}) + content
        descriptor = self._descriptor
        assert descriptor is not None  # noqa: S101 - opened above
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            self.close()  # what was written of these records may be torn: nothing follows it
            raise
        self._size += len(content)
        if self._size > self._bytes:
            self.close()

    def _open(self) -> str:
        name = f"{time.time_ns() // 1000:016d}-{os.urandom(6).hex()}"
        path = self._folder / f"{name}{SUFFIX}"
        # A name that no shipper looks for until the lock is held.
        hidden = self._folder / f".{name}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(path)
        self._descriptor, self._size = descriptor, 0
        return name


def _finish(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
