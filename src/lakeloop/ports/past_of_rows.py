"""What rows know of their entities' earlier rows, computed for rows that are in no feature table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class PastOfRows(Protocol):
    """As-of features over the history of one table at one snapshot."""

    @property
    def columns(self) -> list[str]:
        """Columns that the rows must have."""

    def beside(self, rows: pa.Table) -> pa.Table:
        """The rows, each with its as-of features as further columns, as of its own event time.

        Args:
            rows: with `columns`; they may be part of the history, and see nothing of themselves.

        Raises:
            UserError: a feature cannot be computed.
            LakeloopError: the history cannot be read.
        """
