"""A model folder as an artifact of its training run, for a platform that builds servers out of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lakeloop.domain.base import Frozen


class RunArtifact(Frozen):
    """An artifact of an MLflow run."""

    experiment_id: str
    run_id: str
    path: str


class ServingModels(Protocol):
    """Puts what is to be served beside the training that made it."""

    def publish(self, run_id: str, name: str, folder: Path) -> RunArtifact:
        """The folder as artifact `lakeloop-serving/NAME` of the run; again changes nothing.

        Args:
            run_id: MLflow run of the training.
            name: content address of what is to be served.
            folder: files, none in folders below it.
        """
