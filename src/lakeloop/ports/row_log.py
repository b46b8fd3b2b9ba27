"""Tables that grow by pieces, each piece exactly once: predictions, labels, scored batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Between:
    """Rows whose instant in `column` is from `start` on and before `end`; both with a time zone."""

    column: str
    start: datetime
    end: datetime


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

    def rows(
        self, table: str, columns: Sequence[str] | None = None, between: Between | None = None
    ) -> pa.Table | None:
        """Rows now, all of them or of a span of time; None where there is no table."""
