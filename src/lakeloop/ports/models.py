"""Runs, models and versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.lineage import Lineage
from lakeloop.domain.rollout import Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Verdict

if TYPE_CHECKING:
    import pyarrow as pa


class RunTracker(Protocol):
    """Training runs, found by run key before they are made."""

    def find(self, lineage: Lineage) -> TrainedModel | None:
        """The finished training of this run key, if there is one."""

    def log_training(
        self,
        trained: TrainedModel,
        model_folder: Path,
        encoding: FeatureEncoding,
        example: pa.Table,
        parameters: dict[str, str],
    ) -> TrainedModel:
        """Log run, dataset, metrics and model once; the trained model with run id and model URI filled in."""

    def fetch(self, trained: TrainedModel, folder: Path) -> Path:
        """The training's model folder (booster.ubj, encoding.json), its digest checked.

        Raises:
            LakeloopError: its bytes are not those that were trained.
        """

    def log_verdict(self, mlflow_run_id: str, verdict: Verdict) -> None:
        """Gate metrics and the verdict as artifact and tags."""

    def log_file(self, mlflow_run_id: str, path: Path, folder: str) -> None:
        """A file as artifact of the run; again with the same name replaces it."""


class ModelRegistry(Protocol):
    """Versions and aliases; the champion is the version that was promoted last."""

    def champion(self, model_name: str) -> str | None:
        """Version behind alias `champion`, or None."""

    def register(self, model_name: str, trained: TrainedModel, verdict: Verdict) -> Registration:
        """The version of this run key: found, or made, with lineage as tags and alias `challenger`."""

    def promote(self, model_name: str, version: str, expected: str | None) -> None:
        """Move alias `champion` from `expected` to `version`; again is a no-op.

        Raises:
            ConflictError: the alias is neither at `expected` nor at `version`.
        """

    def trained(self, model_name: str, version: str) -> TrainedModel:
        """The training behind a version."""

    def download(self, model_name: str, version: str, folder: Path) -> Path:
        """The version's model folder (booster.ubj, encoding.json), its digest checked."""
