"""Synthetic batches."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.use_case import UseCase


class BatchGenerator(Protocol):
    """Writes a synthetic batch as Parquet files below the staging URI."""

    def generate(self, use_case: UseCase, number: int, options: BatchOptions) -> Batch:
        """Batch `number`; the same arguments give the same batch id, files and rows on every engine."""
