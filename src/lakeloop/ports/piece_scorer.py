"""Who scores the pieces of a batch scoring, and appends their scores: this process, or Spark's executors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

Piece = tuple[str, Callable[[], "Iterator[pa.RecordBatch]"]]
"""Its identity, and its rows; the function can be sent to another process."""
Scoring = Callable[["pa.Table", str], "pa.Table"]
"""Raw rows of a piece -> rows of the table of scores; can be sent to another process."""


class PieceScorer(Protocol):
    """Scores pieces into a table, each exactly once, some in each commit."""

    def score(
        self, target: str, pieces: Sequence[Piece], scoring: Scoring
    ) -> Iterator[tuple[tuple[str, ...], int]]:
        """After each commit the pieces that were new, and how many rows they have.

        Args:
            target: `namespace.table` of the scores, made where there is none.
            pieces: none of which the table holds, as far as is known.
            scoring: what is done with the rows of a piece.

        Raises:
            UserError: an expression cannot be evaluated.
            LakeloopError: a file cannot be read, the catalog does not answer: what is committed stays.
            ConflictError: other writers were faster too many times.
        """
