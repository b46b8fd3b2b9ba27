"""Serving folders as artifacts of MLflow runs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.adapters.mlflow.client import open_client
from lakeloop.ports.serving_models import RunArtifact
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FOLDER = "lakeloop-serving"


class MlflowServingModels:
    """ServingModels on MLflow's client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> MlflowClient:
        return open_client(self._settings)

    def publish(self, run_id: str, name: str, folder: Path) -> RunArtifact:
        """The folder as artifact of the run; files that are there already, by name and size, stay."""
        path = f"{FOLDER}/{name}"
        run = self._client.get_run(run_id)
        there = {item.path: item.file_size for item in self._client.list_artifacts(run_id, path)}
        for file in sorted(folder.iterdir()):
            if there.get(f"{path}/{file.name}") != file.stat().st_size:
                self._client.log_artifact(run_id, str(file), path)
        return RunArtifact(experiment_id=str(run.info.experiment_id), run_id=run_id, path=path)
