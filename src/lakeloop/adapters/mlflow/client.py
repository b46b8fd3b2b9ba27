"""MLflow's client, as quiet and as quick to start as it can be: no server, no telemetry, no git look-up."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.domain.errors import LakeloopError
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CREATION_TIMEOUT_SECONDS = 120.0
_LOCK_POLL_SECONDS = 0.1
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
    # Artifacts pass through the server: its store need not be reachable from here, and often is not.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}


def open_client(settings: Settings) -> MlflowClient:
    """A client of the configured tracking store and registry; creates the embedded store on first use.

    Raises:
        LakeloopError: another process is creating the embedded store and does not come to an end.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for uri in {settings.tracking_uri, settings.registry_uri}:
        if uri.startswith("sqlite:///"):
            _provide(Path(uri.removeprefix("sqlite:///")), settings.artifact_uri)
    return MlflowClient(tracking_uri=settings.tracking_uri, registry_uri=settings.registry_uri)


def _provide(database: Path, artifact_uri: str) -> None:
    """Make the store with all its tables, whole or not at all: what dies in a migration leaves what no MLflow opens."""
    if database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    with _lock(database.with_suffix(".lock")):
        if database.exists():
            return
        new = database.with_name(f".{database.name}.new")
        for leftover in (new, new.with_name(f"{new.name}-journal")):
            leftover.unlink(missing_ok=True)
        SqlAlchemyStore(f"sqlite:///{new}", artifact_uri).engine.dispose()
        new.replace(database)


def enter_experiment(client: MlflowClient, settings: Settings, use_case: str) -> None:
    """What the tracking plugin of a workbench needs before it finds a run by its id; nothing anywhere else."""
    if settings.mlflow_is_plugin:
        import mlflow

        mlflow.set_tracking_uri(settings.tracking_uri)
        mlflow.set_experiment(experiment_id=experiment_id(client, settings, use_case))


def experiment_id(client: MlflowClient, settings: Settings, use_case: str) -> str:
    """The use case's experiment, made on first use."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(use_case)
    if found is None:
        try:
            return str(client.create_experiment(use_case, artifact_location=_artifacts(settings, use_case)))
        except MlflowException:  # somebody made it since; anything else shows in the look-up below
            found = client.get_experiment_by_name(use_case)
    if found is None or found.lifecycle_stage != "active":
        raise LakeloopError(
            f"experiment {use_case!r} is deleted", where=settings.tracking_uri, fix="restore it in MLflow"
        )
    return str(found.experiment_id)


def _artifacts(settings: Settings, use_case: str) -> str | None:
    embedded = settings.tracking_uri.startswith("sqlite:///") or settings.mlflow_artifact_uri
    return f"{settings.artifact_uri}/{use_case}" if embedded else None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time runs the store's migrations: two at once leave half a schema."""
    deadline = time.monotonic() + CREATION_TIMEOUT_SECONDS
    with path.open("w", encoding="utf-8") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise LakeloopError(
                    f"no lock after {CREATION_TIMEOUT_SECONDS:.0f} s", where=str(path), fix="end its holder"
                )
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
