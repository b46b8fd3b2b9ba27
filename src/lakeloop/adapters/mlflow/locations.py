"""Where a training's MLflow model lies: a logged model, or, before MLflow 3, an artifact of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RUN_FOLDER = "model"
LOGGED, OF_RUN = "models:/", "runs:/"
_UNKNOWN = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "RESOURCE_DOES_NOT_EXIST", "404")


def create_logged_model(client: MlflowClient, experiment_id: str, **fields: Any) -> Any:
    """The new logged model; None where client or server do not know such models."""
    from mlflow.exceptions import MlflowException

    create = getattr(client, "create_logged_model", None)
    if create is None:
        return None
    try:
        return create(experiment_id, **fields)
    except (MlflowException, NotImplementedError) as error:
        code = str(getattr(error, "error_code", "NOT_IMPLEMENTED"))
        if isinstance(error, MlflowException) and code not in _UNKNOWN and "404" not in str(error):
            raise
        return None


def run_model_uri(run_id: str) -> str:
    """Of a model that is the run's artifact."""
    return f"{OF_RUN}{run_id}/{RUN_FOLDER}"


def artifact_location(client: MlflowClient, model_uri: str) -> str:
    """URI of the MLflow model's files."""
    if model_uri.startswith(OF_RUN):
        run_id, _, folder = model_uri.removeprefix(OF_RUN).partition("/")
        return f"{client.get_run(run_id).info.artifact_uri.rstrip('/')}/{folder}"
    return str(client.get_logged_model(model_uri.removeprefix(LOGGED)).artifact_location)


def logged_model_id(model_uri: str) -> str | None:
    """Id of a logged model; None of a run's artifact."""
    return model_uri.removeprefix(LOGGED) if model_uri.startswith(LOGGED) else None
