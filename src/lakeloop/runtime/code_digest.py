"""Which code runs: the image's digest, or where there is no image, a digest of the code itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from lakeloop.domain.base import canonical_json
from lakeloop.runtime.libraries import libraries_here
from lakeloop.settings import Settings


def image_digest(settings: Settings, *packages: str) -> str:
    """What stands for the code in a run key: a finished training is found again only by the code that made it.

    Args:
        settings: names the image's digest, where an image runs.
        packages: whose sources count, with the libraries' versions, where none does.
    """
    if settings.image_digest != Settings.model_fields["image_digest"].default:
        return settings.image_digest
    digest = hashlib.sha256(canonical_json(libraries_here()).encode())
    for package in packages:
        for name, source in _sources(package):
            digest.update(f"{package}/{name}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return f"{settings.image_digest}:{digest.hexdigest()[:20]}"


def _sources(package: str) -> Iterator[tuple[str, Path]]:
    """Source files by name, in one order wherever the package lies."""
    spec = find_spec(package)
    for folder in map(Path, (spec.submodule_search_locations or []) if spec else []):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(folder).as_posix(), path
