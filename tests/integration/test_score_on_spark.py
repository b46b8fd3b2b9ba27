"""A batch scored on Spark's executors: the scores of this process, each row once, through kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.local.process import wait_until
from lakeloop.adapters.spark.piece_scorer import SparkPieceScorer
from lakeloop.domain.batch_scoring import Scored
from lakeloop.scoring import BatchScoring
from lakeloop.serving.batch_champion import ModelScore, model_files
from lakeloop.settings import Settings
from tests.integration.conftest import SparkLake
from tests.unit.test_scoring import TABLE, Bank

pytestmark = pytest.mark.spark

FILES, ROWS_A_FILE = 12, 20
TARGET = "predictions.fraud_batch"
CHILD = """
import sys
from pathlib import Path
from typing import Any
from lakeloop.adapters.spark import piece_scorer
from lakeloop.adapters.spark.session import spark_session
from lakeloop.settings import Settings
from tests.integration.test_score_on_spark import scored_on_spark
from tests.unit.test_scoring import Bank
piece_scorer.FILES_A_TASK_SLOT = 1
home = Path(sys.argv[1])
with spark_session(Settings(home=home / "home", spark_master="local[2]"), "killed", rows=1) as session:
    scored_on_spark(Bank(home), home, session, print)
"""


def scored_on_spark(bank: Bank, home: Path, session: object, report: object) -> Scored:
    settings = Settings(home=home / "home")
    score = ModelScore(bank.model.identity.model_digest, model_files(home / "model"))
    scorer = SparkPieceScorer(settings, bank.log, session=session)  # type: ignore[arg-type]
    scoring = BatchScoring(bank.lake, bank.log, score, report, scorer)  # type: ignore[arg-type]
    return scoring.run(bank.job(), list(bank.model.encoding.source_columns), ["id"])


def landed(home: Path) -> Bank:
    bank = Bank(home)
    for number in range(FILES):
        bank.land(number * ROWS_A_FILE, ROWS_A_FILE)
    return bank


def test_executors_give_the_scores_of_this_process_without_deleted_rows(
    spark_lake: SparkLake, tmp_path: Path
) -> None:
    bank, other = landed(tmp_path / "spark"), landed(tmp_path / "local")
    for one in (bank, other):
        table = one.lake.find(TABLE)
        assert table is not None
        table.delete("id = 3")
    told: list[str] = []
    scored = scored_on_spark(bank, tmp_path / "spark", spark_lake.spark, told.append)
    other.score(other.job())
    assert (scored.files, scored.rows, scored.files_before) == (FILES, FILES * ROWS_A_FILE - 1, 0)
    assert bank.scores() == other.scores()
    assert 3 not in bank.scores()
    assert told[-1] == f"scored {FILES * ROWS_A_FILE - 1:,} rows, {FILES} of {FILES} files"
    again = scored_on_spark(bank, tmp_path / "spark", spark_lake.spark, told.append)
    assert (again.rows, again.files_before) == (0, FILES)


def test_what_another_run_scored_meanwhile_is_not_there_twice_and_leaves_no_file(
    spark_lake: SparkLake, tmp_path: Path
) -> None:
    bank = landed(tmp_path)

    class Overtaken(IcebergRowLog):
        """Another run scores everything between this one's look and its commit."""

        def append_files(self, table: str, files: Any) -> tuple[str, ...]:
            bank.score(bank.job())
            return super().append_files(table, files)

    settings = Settings(home=tmp_path / "home")
    score = ModelScore(bank.model.identity.model_digest, model_files(tmp_path / "model"))
    scorer = SparkPieceScorer(settings, Overtaken(settings), session=spark_lake.spark)
    scoring = BatchScoring(bank.lake, bank.log, score, lambda _: None, scorer)
    scored = scoring.run(bank.job(), list(bank.model.encoding.source_columns), ["id"])
    assert scored.rows == 0
    assert len(bank.scores()) == FILES * ROWS_A_FILE
    target = bank.lake.find(TARGET)
    assert target is not None
    known = {Path(f.file.file_path.removeprefix("file://")).name for f in target.scan().plan_files()}
    there = {path.name for path in (tmp_path / "home/warehouse/predictions").rglob("*.parquet")}
    assert there == known


@pytest.mark.timeout(400)
def test_a_killed_driver_s_work_goes_on_where_it_was(tmp_path: Path) -> None:
    bank = landed(tmp_path)

    def start() -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)],
            cwd=root,
            env=dict(os.environ),
            start_new_session=True,
        )

    def rows() -> pa.Table | None:
        return bank.log.rows(TARGET, ["id"])

    child = start()
    assert wait_until(lambda: rows() is not None, 150), "it scores nothing"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(30)
    before = rows()
    assert before is not None
    assert 0 < before.num_rows < FILES * ROWS_A_FILE, "it was done before it was killed"
    assert start().wait(200) == 0
    assert sorted(bank.scores()) == list(range(FILES * ROWS_A_FILE))
