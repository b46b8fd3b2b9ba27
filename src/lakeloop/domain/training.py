"""What a training made."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.lineage import Lineage
from lakeloop.domain.rows_digest import RowsDigest


class TrainedModel(Frozen):
    """Artifact `training` of train_model. `model_digest` is the content address of the model's folder."""

    lineage: Lineage
    mlflow_run_id: str
    mlflow_run_url: str = ""
    model_uri: str = Field(description="Immutable MLflow URI of the logged model.")
    model_digest: str = Field(
        description="sha256 over the sorted files (name, bytes): booster.ubj and encoding.json."
    )
    booster_sha256: str
    rounds: int
    train_rows: int
    holdout_rows: int
    holdout_start: str = Field(description="Event time of the first holdout row, ISO 8601.")
    train_metrics: dict[str, float] = Field(default_factory=dict)
    history: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="Metric a round, e.g. holdout-logloss."
    )
    train_seconds: float = 0.0
    use_case: dict[str, Any] = Field(
        default_factory=dict,
        description="As it was: JSON whose digest is the lineage's. Not a UseCase: later versions of it may differ.",
    )
    data: dict[str, RowsDigest] = Field(
        default_factory=dict, description="Content of the rows by part: train, holdout. Empty: engine spark."
    )
    continued_version: str | None = Field(
        default=None, description="Warm start: the version it went on from."
    )
