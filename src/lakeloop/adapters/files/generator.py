"""Synthetic batches made in this process: no JVM."""

from __future__ import annotations

from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.manifest import write_batch
from lakeloop.generation.parts import write_part
from lakeloop.generation.rows import Part
from lakeloop.settings import Settings


class FileBatchGenerator:
    """Writes a batch's Parquet files one after the other, on any file system that Arrow knows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def generate(self, use_case: UseCase, number: int, options: BatchOptions) -> Batch:
        """Batch `number`, below the staging URI; a batch that is there already is not made again."""
        return write_batch(use_case, number, options, self._settings.staging, _write_parts)


def _write_parts(use_case: UseCase, parts: dict[str, Part], folder_uri: str) -> dict[str, int]:
    return {name: write_part(use_case, part, folder_uri, name) for name, part in parts.items()}
