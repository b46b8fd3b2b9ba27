"""Looking at data that nobody has declared yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from lakeloop.domain.table_facts import TableFacts

if TYPE_CHECKING:
    import pyarrow as pa


class Inspector(Protocol):
    """Types, nulls, ranges and keys of files or rows; reads, and never writes."""

    def files(self, path: str) -> TableFacts:
        """Facts of the CSV, Parquet or JSON-lines files behind a local path or glob.

        Raises:
            UserError: no file matches, or it cannot be read.
        """

    def rows(self, name: str, batches: Iterator[pa.RecordBatch]) -> TableFacts:
        """Facts of a table's rows.

        Raises:
            UserError: there are none.
        """
