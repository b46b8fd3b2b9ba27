"""The workbench's experiments: artifacts of MLflow runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class MlflowExperiments:
    """Artifacts of a tracking store, as the registry imports them."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    def __call__(self, experiment_id: str, run_id: str, model_path: str) -> Path:
        """A copy of the artifact.

        Raises:
            LookupError: there is no such run or artifact.
        """
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self._tracking_uri)
        try:
            run = client.get_run(run_id)
            if run.info.experiment_id != experiment_id:
                raise LookupError(f"run {run_id} is not of experiment {experiment_id}")
            target = tempfile.mkdtemp(prefix="cai-artifact-")
            return Path(client.download_artifacts(run_id, model_path, target))
        except (MlflowException, OSError) as error:
            raise LookupError(f"run {run_id} has no artifact {model_path}: {error}") from error
