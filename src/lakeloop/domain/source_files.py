"""Files that are, or were, a batch: what identifies them, and how a snapshot's summary remembers them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from lakeloop.domain.base import Frozen


class SourceFile(Frozen):
    """A file of a `files` source."""

    uri: str
    size: int | None = Field(default=None, description="Bytes.")
    mtime_ns: int | None = None
    sha256: str | None = Field(default=None, description="Of its bytes, lower-case hex; once it was read.")

    @property
    def name(self) -> str:
        """Its last path segment."""
        return self.uri.rsplit("/", 1)[-1]


def source_files_property(files: tuple[SourceFile, ...]) -> str:
    """The snapshot summary entry `lakeloop.source-files` of a batch."""
    return json.dumps([f.model_dump(mode="json", exclude_none=True) for f in files], separators=(",", ":"))


def parse_source_files(text: str) -> tuple[SourceFile, ...]:
    """The files in a summary entry; a bare string is a file of which only the URI is known.

    Raises:
        ValueError: it is not such an entry.
    """
    return tuple(_source_file(value) for value in json.loads(text))


def _source_file(value: Any) -> SourceFile:
    return SourceFile(uri=value) if isinstance(value, str) else SourceFile.model_validate(value)
