"""Comparing rows, however many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from lakeloop.domain.table_diff import ColumnStatistics, RowChanges

if TYPE_CHECKING:
    import pyarrow as pa


class RowComparer(Protocol):
    """In bounded memory; never a JVM."""

    def statistics(self, batches: Iterator[pa.RecordBatch]) -> tuple[ColumnStatistics, ...]:
        """One pass over the rows; at least one batch."""

    def compare(
        self,
        gone: Iterator[pa.RecordBatch],
        come: Iterator[pa.RecordBatch],
        key: Sequence[str] = (),
        most_rows: int = 10,
    ) -> RowChanges:
        """The net changes between two multisets of rows with the same columns.

        Args:
            gone: rows that the earlier snapshot may have had more often; at least one batch.
            come: rows that the later one may have more often.
            key: columns that identify a row, among those of the batches; empty where none is known.
            most_rows: of added and of removed rows, how many are returned, in their order.
        """
