"""Tables that grow by pieces, each piece exactly once: predictions, labels, scored batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_COLUMN = "_piece_id"


class RowLog(Protocol):
    """Appends of identified pieces; whoever appends a piece again changes nothing."""

    def append(self, table: str, rows: pa.Table) -> tuple[str, ...]:
        """Append the rows of pieces that the table does not hold yet, in one commit; the pieces that were new.

        Args:
            table: `namespace.table`, made with the rows' columns where there is none.
            rows: with the piece of each row in `_piece_id`; a piece's rows always come whole.

        Raises:
            ConflictError: other writers were faster too many times.
            LakeloopError: the catalog does not answer; whether it was appended shows the next call.
        """

    def held(self, table: str, pieces: Sequence[str]) -> frozenset[str]:
        """Those of `pieces` that the table holds."""

    def rows(self, table: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """All rows now; None where there is no table."""
