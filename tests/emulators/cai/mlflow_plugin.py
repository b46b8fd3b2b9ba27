"""MLflow as a workbench has it: a tracking plugin with its quirk, and a client from before MLflow 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SCHEME = "cml"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """Register the plugin for this process; its tracking URI."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking import MlflowClient, fluent
    from mlflow.tracking._tracking_service import utils

    class WorkbenchStore(SqlAlchemyStore):
        """Finds no run by its id before an experiment is set, and knows no logged models."""

        def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None) -> None:  # noqa: ARG002 - called by name
            super().__init__(f"sqlite:///{folder / 'workspace.db'}", (folder / "artifacts").as_uri())

        def get_run(self, run_id: str) -> Any:
            if fluent._active_experiment_id is None:
                raise MlflowException("Missing the required parameter `experiment_id` when calling `get_run`")
            return super().get_run(run_id)

    utils._tracking_store_registry.register(SCHEME, WorkbenchStore)
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    monkeypatch.delattr(MlflowClient, "create_logged_model")
    return f"{SCHEME}://localhost"
