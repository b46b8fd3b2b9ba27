"""Executors score with a model whose features look back: the scores of this process and of the training, once each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakeloop import bootstrap
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.spark.piece_scorer import SparkPieceScorer
from lakeloop.domain.batch_scoring import Scored, ScoringJob
from lakeloop.domain.encoding import encode, fit_encoding
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.scoring import BatchScoring
from lakeloop.serving.batch_champion import ModelScore, model_files
from lakeloop.serving.model import load
from tests.contract.test_online_equals_offline import USE_CASE
from tests.fakes.models import candidate
from tests.integration.conftest import SparkLake
from tests.unit.test_scoring_past import Bank

pytestmark = pytest.mark.spark

Scores = dict[int, float]


class LookingBank(Bank):
    """Its loans, and a booster trained on their features."""

    def __init__(self, home: Path) -> None:
        import xgboost

        super().__init__(home / "home")
        self.model_folder, self.log = home / "model", IcebergRowLog(self.settings)
        self.model_folder.mkdir()
        rows = pa.Table.from_pylist(list(self.trained_on().values()))
        columns = dict(USE_CASE.table.columns)
        encoding = fit_encoding(USE_CASE.features, rows, columns, USE_CASE.table.event_time)
        data = xgboost.DMatrix(
            encode(rows, encoding),
            label=np.arange(rows.num_rows) % 7 == 0,
            feature_names=encoding.names,
            feature_types=encoding.xgboost_types,
            enable_categorical=True,
        )
        booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "nthread": 1}, data, 20)
        booster.save_model(self.model_folder / BOOSTER_FILE)
        (self.model_folder / ENCODING_FILE).write_text(encoding.model_dump_json(), encoding="utf-8")
        self.digest = candidate(self.model_folder).identity.model_digest
        ids = rows.column("loan_id").to_pylist()
        self.trained_scores: Scores = dict(zip(ids, booster.predict(data).tolist(), strict=True))

    def score(self, spark: object | None) -> Scored:
        state, model = self.lake.table_state(USE_CASE.table.name), load(self.model_folder)
        assert state is not None
        past = bootstrap.past_of_rows(self.settings, USE_CASE, self.head, self.trained.feature_hash)
        job = ScoringJob(
            table=USE_CASE.table.name,
            table_uuid=state.table_uuid,
            from_snapshot_id=None,
            to_snapshot_id=self.head,
            model_name="loans",
            model_version="1",
            model_digest=self.digest,
            past_snapshot_id=self.head,
        )
        score = ModelScore(self.digest, model_files(self.model_folder), past)
        scorer = SparkPieceScorer(self.settings, self.log, session=spark) if spark else None  # type: ignore[arg-type]
        scoring = BatchScoring(self.lake, self.log, score, lambda _: None, scorer)
        return scoring.run(job, [*model.encoding.raw_columns, *past.columns], USE_CASE.table.key)

    def scores(self, target: str) -> Scores:
        rows = self.log.rows(target)
        assert rows is not None
        ids = rows.column("loan_id").to_pylist()
        assert len(ids) == len(set(ids)), "a loan was scored twice"
        return dict(zip(ids, rows.column("score").to_pylist(), strict=True))


def test_executors_see_the_past_that_this_process_and_the_training_saw(
    spark_lake: SparkLake, tmp_path: Path
) -> None:
    for name in ("spark", "local"):
        (tmp_path / name).mkdir()
    bank, other = LookingBank(tmp_path / "spark"), LookingBank(tmp_path / "local")
    scored, locally = bank.score(spark_lake.spark), other.score(None)
    assert (scored.files, scored.rows) == (2, len(bank.loans)) == (locally.files, locally.rows)
    found = bank.scores(scored.target)
    assert found == other.scores(locally.target)
    assert found == bank.trained_scores
    assert len(set(found.values())) > len(found) / 10, "scores that tell the loans apart"
    again = bank.score(spark_lake.spark)
    assert (again.rows, again.files_before) == (0, 2)
