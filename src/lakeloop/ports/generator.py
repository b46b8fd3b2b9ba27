"""Where batches come from."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.profile import Profile
from lakeloop.domain.source_files import SourceFile
from lakeloop.domain.use_case import FilesSource, UseCase


class BatchGenerator(Protocol):
    """Writes a synthetic batch as Parquet files below the staging URI."""

    def generate(self, use_case: UseCase, number: int, options: BatchOptions) -> Batch:
        """Batch `number`; the same arguments give the same batch id, files and rows on every engine."""


class SourceFolder(Protocol):
    """Files that somebody else writes, local or in an object store."""

    def find(self, path: str) -> tuple[SourceFile, ...]:
        """Files that the path or glob names, sorted by URI, with size and time.

        Raises:
            UserError: it names no file, or the place cannot be read.
        """

    def sha256(self, file: SourceFile) -> str:
        """Of the file's bytes, lower-case hex.

        Raises:
            UserError: it cannot be read.
        """

    def columns(self, file: SourceFile, source: FilesSource) -> tuple[str, ...]:
        """Column names by its header or schema (JSON lines: by its first lines).

        Raises:
            UserError: it cannot be read as the source's format.
        """


class BatchProfiler(Protocol):
    """Looks at a batch's files as they are; never a JVM."""

    def profile(self, use_case: UseCase, batch: Batch) -> Profile:
        """Column by column, over every row.

        Raises:
            UserError: a file cannot be read.
        """
