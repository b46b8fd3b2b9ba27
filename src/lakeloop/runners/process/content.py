"""Artifacts on this machine: where a URI lies, and a digest of what lies there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ABSENT: Final = "absent"
_BLOCK_BYTES: Final = 1 << 20


def local_path(uri: str) -> Path | None:
    """The path a URI means on this machine; None when it is remote."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


def content_digest(uri: str) -> str | None:
    """Hex SHA-256 of a file or of a folder's tree; `absent` when nothing is there; None when it is remote."""
    path = local_path(uri)
    if path is None:
        return None
    if not path.exists():
        return ABSENT
    digest = hashlib.sha256()
    for name, file in _files(path):
        digest.update(name.encode() + b"\0")
        if file:
            _update(digest, file)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path | None]]:
    if not path.is_dir():
        yield "file", path
        return
    yield "folder", None
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path).as_posix()
        yield (name, entry) if entry.is_file() else (f"{name}/", None)


def _update(digest: hashlib._Hash, file: Path) -> None:
    digest.update(str(file.stat().st_size).encode() + b"\0")
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
