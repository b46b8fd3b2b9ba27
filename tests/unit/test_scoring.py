"""Batch scoring over real Iceberg tables: each row once, through interruptions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.spark.piece_scorer import SparkPieceScorer
from lakeloop.bootstrap import piece_scorer
from lakeloop.domain.batch_scoring import Scored, ScoringJob, rows_to_score, scoring_range
from lakeloop.domain.engines import Engine
from lakeloop.domain.errors import UserError
from lakeloop.scoring import BatchScoring, LocalPieceScorer
from lakeloop.serving.model import ServedModel, load
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case
from tests.fakes.models import model_folder

TABLE = "bank.transactions"


class Bank:
    """A table that grows, and a model over it."""

    def __init__(self, home: Path) -> None:
        settings = Settings(home=home / "home")
        self.lake, self.log = IcebergLake(settings), IcebergRowLog(settings)
        self.model: ServedModel = load(Path(model_folder(home / "model").model_folder))
        self.lake.catalog.create_namespace_if_not_exists("bank")

    def land(self, first: int, count: int) -> str:
        ids = range(first, first + count)
        rows = pa.table(
            {
                "id": pa.array(ids, pa.int64()),
                "amount": pa.array([i / 100 for i in ids], pa.float64()),
                "age": pa.array([18 + i % 60 for i in ids], pa.int32()),
                "kind": pa.array(["abc"[i % 3] for i in ids], pa.string()),
                "label": pa.array([0 for _ in ids], pa.int32()),
            }
        )
        table = self.lake.catalog.create_table_if_not_exists(TABLE, rows.schema)
        table.append(rows)
        snapshot = table.refresh().current_snapshot()
        assert snapshot is not None
        return str(snapshot.snapshot_id)

    def job(self, start: str | None = None, end: str | None = None) -> ScoringJob:
        state = self.lake.table_state(TABLE)
        assert state is not None
        first, last = scoring_range(state, TABLE, start, end)
        identity = self.model.identity
        return ScoringJob(
            table=TABLE,
            table_uuid=state.table_uuid,
            from_snapshot_id=first,
            to_snapshot_id=last,
            model_name=identity.model_name,
            model_version=identity.version,
            model_digest=identity.model_digest,
        )

    def score(self, job: ScoringJob, most_files: int = 99) -> Scored:
        calls = Counter[str]()

        def score(table: pa.Table) -> list[float]:
            calls["files"] += 1
            if calls["files"] > most_files:
                raise RuntimeError("killed")
            return self.model.scores_of_table(table)

        columns = list(self.model.encoding.source_columns)
        return BatchScoring(self.lake, self.log, score, lambda _: None).run(job, columns, ["id"])

    def scores(self) -> dict[int, float]:
        rows = self.log.rows("predictions.fraud_batch")
        assert rows is not None
        ids = rows.column("id").to_pylist()
        assert len(ids) == len(set(ids)), "a row was scored twice"
        return dict(zip(ids, rows.column("score").to_pylist(), strict=True))


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def test_all_rows_get_the_score_that_the_endpoint_answers(bank: Bank) -> None:
    bank.land(0, 10)
    bank.land(10, 5)
    scored = bank.score(bank.job())
    assert (scored.files, scored.rows, scored.files_before) == (2, 15, 0)
    found = bank.scores()
    row = {"amount": 0.07, "age": 25, "kind": "b"}
    assert found[7] == pytest.approx(bank.model.scores([row])[0], abs=0)
    again = bank.score(bank.job())
    assert (again.rows, again.files_before) == (0, 2)
    assert len(bank.scores()) == 15


def test_an_interrupted_job_goes_on_where_it_was(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakeloop.scoring.FILES_A_COMMIT", 1)
    for number in range(4):
        bank.land(number * 10, 10)
    with pytest.raises(RuntimeError):
        bank.score(bank.job(), most_files=2)
    assert len(bank.scores()) == 20
    scored = bank.score(bank.job())
    assert (scored.rows, scored.files_before) == (20, 2)
    assert len(bank.scores()) == 40


def test_a_range_scores_only_what_it_added(bank: Bank) -> None:
    first = bank.land(0, 10)
    second = bank.land(10, 10)
    bank.land(20, 10)
    bank.score(bank.job(first, second))
    assert sorted(bank.scores()) == list(range(10, 20))


def test_a_range_that_is_none_is_refused(bank: Bank) -> None:
    first = bank.land(0, 10)
    second = bank.land(10, 10)
    for start, end, told in (
        (second, first, "does not come before"),
        (first, first, "does not come before"),
        ("4711", None, "no snapshot of main"),
        (None, "4711", "no snapshot of main"),
    ):
        with pytest.raises(UserError, match=told):
            bank.job(start, end)
    table = bank.lake.find(TABLE)
    assert table is not None
    table.delete("id = 3")
    with pytest.raises(UserError, match="no plain append"):
        bank.job(first)
    with pytest.raises(UserError, match="no such table"):
        scoring_range(None, "bank.nothing", None, None)
    bank.score(bank.job())
    assert 3 not in bank.scores()


@pytest.mark.parametrize(
    ("rows", "engine", "master", "executors"),
    [
        (2_000_000, "auto", "local[*]", False),
        (2_000_001, "auto", "local[*]", True),
        (None, "auto", "local[*]", True),
        (10, "auto", "k8s://https://api", True),
        (10, "spark", "local[*]", True),
        (10**9, "local", "k8s://https://api", False),
    ],
)
def test_executors_score_what_is_much_or_on_a_cluster(
    tmp_path: Path, rows: int | None, engine: Engine, master: str, executors: bool
) -> None:
    settings, told = Settings(home=tmp_path, engine=engine, spark_master=master), list[str]()
    scorer = piece_scorer(settings, load_use_case("card_fraud"), rows, told.append)
    assert isinstance(scorer, SparkPieceScorer if executors else LocalPieceScorer)
    assert told[0].startswith("scores: by Spark" if executors else "scores: in this process")


def test_how_many_rows_there_are_to_score_is_known_before(bank: Bank) -> None:
    first = bank.land(0, 10)
    last = bank.land(10, 5)
    state = bank.lake.table_state(TABLE)
    assert state is not None
    assert (rows_to_score(state, None, last), rows_to_score(state, None, first)) == (15, 10)
    assert rows_to_score(state, first, last) == 5
