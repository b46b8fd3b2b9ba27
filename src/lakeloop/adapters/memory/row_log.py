"""Pieces of rows in memory, for tests of what uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakeloop.domain.prediction_table import PIECE_COLUMN
from lakeloop.ports.row_log import Between

if TYPE_CHECKING:
    import pyarrow as pa


class MemoryRowLog:
    """Implements `lakeloop.ports.row_log.RowLog`."""

    def __init__(self) -> None:
        self._tables: dict[str, pa.Table] = {}

    def append(self, table: str, rows: pa.Table) -> tuple[str, ...]:
        """Append what is new."""
        import pyarrow as pa
        import pyarrow.compute as pc

        pieces = rows.column(PIECE_COLUMN).unique().to_pylist()
        held = self.held(table, pieces)
        fresh = tuple(piece for piece in pieces if piece not in held)
        kept = rows.filter(pc.is_in(rows.column(PIECE_COLUMN), pa.array(fresh, pa.string())))
        before = self._tables.get(table)
        self._tables[table] = kept if before is None else pa.concat_tables([before, kept])
        return fresh

    def held(self, table: str, pieces: Sequence[str]) -> frozenset[str]:
        """Those of `pieces` that are there."""
        rows = self._tables.get(table)
        return frozenset() if rows is None else frozenset(rows.column(PIECE_COLUMN).to_pylist()) & set(pieces)

    def rows(
        self, table: str, columns: Sequence[str] | None = None, between: Between | None = None
    ) -> pa.Table | None:
        """All rows, or those of a span of time."""
        import pyarrow.compute as pc

        rows = self._tables.get(table)
        if rows is not None and between is not None:
            at = rows.column(between.column)
            rows = rows.filter(pc.and_(pc.greater_equal(at, between.start), pc.less(at, between.end)))
        return rows if rows is None or columns is None else rows.select(list(columns))
