"""A table's rows, scored by a model into the table of batch predictions: file by file, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from lakeloop.domain.batch_scoring import Scored, ScoringJob
from lakeloop.domain.prediction_table import PIECE_COLUMN
from lakeloop.ports.lake import Lake
from lakeloop.ports.piece_scorer import Piece, PieceScorer, Scoring
from lakeloop.ports.row_log import RowLog

if TYPE_CHECKING:
    import pyarrow as pa

Score = Callable[["pa.Table"], Sequence[float]]
FILES_A_COMMIT = 32
ROWS_A_COMMIT = 500_000


@dataclass(frozen=True)
class BatchScoring:
    """What scores, and where rows come from and scores go to.

    Args:
        lake: of the rows.
        log: of the scores.
        score: raw columns -> scores [rows].
        report: told of the progress.
        scorer: does the work; None: this process.
    """

    lake: Lake
    log: RowLog
    score: Score
    report: Callable[[str], None]
    scorer: PieceScorer | None = None

    def run(self, job: ScoringJob, columns: Sequence[str], key: Sequence[str]) -> Scored:
        """Score what no earlier attempt has scored.

        Args:
            job: which rows, which model.
            columns: raw columns that the model reads.
            key: columns that identify a row; they stand beside its score.

        Raises:
            UserError: a column is missing, or an expression cannot be evaluated.
            LakeloopError: a file cannot be read, the catalog does not answer: what is committed stays, go on later.
        """
        wanted = list(dict.fromkeys([*key, *columns]))
        files = list(self.lake.read_files(job.table, job.to_snapshot_id, wanted, job.from_snapshot_id))
        pieces = [(job.piece_id(path), read) for path, read in files]
        held = self.log.held(job.target, [piece for piece, _ in pieces]) if pieces else frozenset()
        waiting = [piece for piece in pieces if piece[0] not in held]
        scoring, rows, done = ScoredRows(job, tuple(key), datetime.now(tz=UTC), self.score), 0, len(held)
        scorer = self.scorer or LocalPieceScorer(self.log)
        for new, count in scorer.score(job.target, waiting, scoring) if waiting else ():
            rows, done = rows + count, done + len(new)
            self.report(f"scored {rows:,} rows, {done} of {len(files)} files")
        return Scored(
            job=job,
            job_id=job.job_id,
            target=job.target,
            files=len(files),
            rows=rows,
            files_before=len(held),
        )


class LocalPieceScorer:
    """Implements `lakeloop.ports.piece_scorer.PieceScorer` in this process."""

    def __init__(self, log: RowLog) -> None:
        self._log = log

    def score(
        self, target: str, pieces: Sequence[Piece], scoring: Scoring
    ) -> Iterator[tuple[tuple[str, ...], int]]:
        """Some files a commit; see the port."""
        for commit in _commits(iter(pieces), scoring):
            new = set(self._log.append(target, commit))
            count = sum(1 for piece in commit.column(PIECE_COLUMN).to_pylist() if piece in new)
            yield tuple(new), count


def _commits(waiting: Iterator[Piece], scoring: Scoring) -> Iterator[pa.Table]:
    import pyarrow as pa

    while files := list(islice(waiting, FILES_A_COMMIT)):
        tables: list[pa.Table] = []
        for piece, read in files:
            tables += [scoring(pa.Table.from_batches([batch]), piece) for batch in read()]
            if sum(t.num_rows for t in tables) >= ROWS_A_COMMIT:
                yield pa.concat_tables(tables)
                tables = []
        if tables:
            yield pa.concat_tables(tables)


@dataclass(frozen=True)
class ScoredRows:
    """A `Scoring`: the key of each row, its score, and what stands beside each score."""

    job: ScoringJob
    key: tuple[str, ...]
    at: datetime
    score: Score

    def __call__(self, table: pa.Table, piece: str) -> pa.Table:
        """Rows of the table of scores."""
        import pyarrow as pa

        count = table.num_rows
        told = {
            "score": pa.array(self.score(table), pa.float64()),
            "model_version": pa.array([self.job.model_version] * count, pa.string()),
            "model_digest": pa.array([self.job.model_digest] * count, pa.string()),
            "snapshot_id": pa.array([self.job.to_snapshot_id] * count, pa.string()),
            "job_id": pa.array([self.job.job_id] * count, pa.string()),
            "scored_at": pa.array([self.at] * count, pa.timestamp("us", "UTC")),
            PIECE_COLUMN: pa.array([piece] * count, pa.string()),
        }
        rows = table.select(list(self.key))
        for name, values in told.items():
            rows = rows.append_column(name, values)
        return rows
