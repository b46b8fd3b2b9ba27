"""What a training leaves behind, before a run and a model URI are given to it."""

from __future__ import annotations

import hashlib

from lakeloop.domain.lineage import Lineage
from lakeloop.domain.model_files import model_digest
from lakeloop.domain.trained_booster import TrainedBooster
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.training.train import model_files, train

__all__ = ["model_files", "train", "trained_model"]


def trained_model(made: TrainedBooster, lineage: Lineage, use_case: UseCase) -> TrainedModel:
    """The training's record; with the use case as it is now, so that a replay needs no file."""
    return TrainedModel(
        lineage=lineage,
        mlflow_run_id="",
        model_uri="",
        model_digest=model_digest(model_files(made)),
        booster_sha256=hashlib.sha256(made.booster).hexdigest(),
        rounds=made.rounds,
        train_rows=made.train_rows,
        holdout_rows=made.holdout_rows,
        holdout_start=made.holdout_start,
        train_metrics=made.metrics,
        history=made.history,
        train_seconds=made.seconds,
        use_case=use_case.model_dump(mode="json"),
        data=made.data,
        continued_version=made.continued_version,
    )
