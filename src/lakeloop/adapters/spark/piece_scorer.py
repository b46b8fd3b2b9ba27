"""Pieces of a batch scoring on Spark's executors: each reads a file, scores it and writes the scores as a data file.

The driver holds no rows. It commits the written files some at a time, by the very protocol of `IcebergRowLog`: looked
for first, named in the snapshot's summary, refused where somebody else has committed since the look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.detached import DetachedTable, detached
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.ports.piece_scorer import Piece, Scoring
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

FILES_A_TASK_SLOT = 4
"""So many files a running task go into one commit: an interrupted run loses no more than those."""


class SparkPieceScorer:
    """Implements `lakeloop.ports.piece_scorer.PieceScorer`.

    Args:
        settings: master, catalog, executors.
        log: of the scores.
        resources: executors on Kubernetes.
        session: an open session to use and leave open.
    """

    def __init__(
        self,
        settings: Settings,
        log: IcebergRowLog,
        resources: SparkResources | None = None,
        session: SparkSession | None = None,
    ) -> None:
        self._settings, self._log, self._resources, self._session = settings, log, resources, session

    def score(
        self, target: str, pieces: Sequence[Piece], scoring: Scoring
    ) -> Iterator[tuple[tuple[str, ...], int]]:
        """After each commit the pieces that were new, and how many rows they have; see the port."""
        place = self._place(target, pieces[0], scoring)
        with self._open(target) as spark:
            at_once = max(1, spark.sparkContext.defaultParallelism) * FILES_A_TASK_SLOT
            for start in range(0, len(pieces), at_once):
                written = self._written(spark, pieces[start : start + at_once], _Work(place, scoring))
                files = {piece: found for piece, found, _ in written}
                new = self._log.append_files(target, files)
                yield new, sum(rows for piece, _, rows in written if piece in new)

    def _place(self, target: str, piece: Piece, scoring: Scoring) -> DetachedTable:
        """The table of scores, made of the first rows' columns where there is none."""
        batch = next(piece[1]())
        rows = scoring(_table(batch).slice(0, 1), piece[0])
        return detached(self._log.table(target, rows.schema))

    def _open(self, target: str) -> AbstractContextManager[SparkSession]:
        if self._session is not None:
            return nullcontext(self._session)
        return spark_session(self._settings, f"score_batch {target}", resources=self._resources)

    def _written(
        self, spark: SparkSession, pieces: Sequence[Piece], work: _Work
    ) -> list[tuple[str, list[Any], int]]:
        try:
            return list(spark.sparkContext.parallelize(list(pieces), len(pieces)).map(work).collect())
        except spark_failures() as error:
            raise LakeloopError(
                f"an executor could not score: {first_line(error)}",
                where="score_batch",
                fix="run it again: what is committed stays",
            ) from error


@dataclass(frozen=True)
class _Work:
    """What an executor does with a piece: identity, data files that nobody sees yet, rows."""

    place: DetachedTable
    scoring: Callable[[pa.Table, str], pa.Table]

    def __call__(self, piece: Piece) -> tuple[str, list[Any], int]:
        import pyarrow as pa

        identity, read = piece
        scored = [self.scoring(_table(batch), identity) for batch in read() if batch.num_rows]
        rows = sum(table.num_rows for table in scored)
        return identity, self.place.written(pa.concat_tables(scored)) if rows else [], rows


def _table(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])
