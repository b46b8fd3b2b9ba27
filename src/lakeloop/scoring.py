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
from lakeloop.ports.row_log import RowLog

if TYPE_CHECKING:
    import pyarrow as pa

Score = Callable[["pa.Table"], Sequence[float]]
Piece = tuple[str, Callable[[], "Iterator[pa.RecordBatch]"]]
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
    """

    lake: Lake
    log: RowLog
    score: Score
    report: Callable[[str], None]

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
        held = self.log.held(job.target, [job.piece_id(path) for path, _ in files]) if files else frozenset()
        waiting = [(job.piece_id(path), read) for path, read in files if job.piece_id(path) not in held]
        told, rows, done = _Told(job, tuple(key), datetime.now(tz=UTC)), 0, 0
        for commit in self._commits(iter(waiting), told):
            new = set(self.log.append(job.target, commit))
            rows += sum(1 for piece in commit.column(PIECE_COLUMN).to_pylist() if piece in new)
            done += len(new)
            self.report(f"scored {rows:,} rows, {done + len(held)} of {len(files)} files")
        return Scored(
            job=job,
            job_id=job.job_id,
            target=job.target,
            files=len(files),
            rows=rows,
            files_before=len(held),
        )

    def _commits(self, waiting: Iterator[Piece], told: _Told) -> Iterator[pa.Table]:
        import pyarrow as pa

        while files := list(islice(waiting, FILES_A_COMMIT)):
            tables: list[pa.Table] = []
            for piece, read in files:
                parts = [pa.Table.from_batches([batch]) for batch in read()]
                tables += [told.beside(part, self.score(part), piece) for part in parts]
                if sum(t.num_rows for t in tables) >= ROWS_A_COMMIT:
                    yield pa.concat_tables(tables)
                    tables = []
            if tables:
                yield pa.concat_tables(tables)


@dataclass(frozen=True)
class _Told:
    """What stands beside each score."""

    job: ScoringJob
    key: tuple[str, ...]
    at: datetime

    def beside(self, table: pa.Table, scores: Sequence[float], piece: str) -> pa.Table:
        import pyarrow as pa

        count = table.num_rows
        told = {
            "score": pa.array(scores, pa.float64()),
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
