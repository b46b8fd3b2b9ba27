"""Versions and aliases in MLflow's registry."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.adapters.mlflow.client import enter_experiment, open_client
from lakeloop.adapters.mlflow.download import download_folder
from lakeloop.adapters.mlflow.locations import artifact_location, logged_model_id
from lakeloop.adapters.mlflow.tags import RUN_KEY, VERDICT, lineage_tags
from lakeloop.adapters.mlflow.tracker import read_training
from lakeloop.domain.errors import ConflictError, LakeloopError, UserError
from lakeloop.domain.rollout import Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Verdict
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"


class MlflowModelRegistry:
    """ModelRegistry on MLflow's client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> MlflowClient:
        return open_client(self._settings)

    def champion(self, model_name: str) -> str | None:
        """Version behind alias `champion`, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(model_name, CHAMPION).version)
        except MlflowException as error:
            # The first code is for an unknown model, the second for an unknown alias.
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def register(self, model_name: str, trained: TrainedModel, verdict: Verdict) -> Registration:
        """The version of this run key: found, or made, with lineage as tags and alias `challenger`."""
        self._ensure_model(model_name)
        version = self._version_of(model_name, trained) or self._create(model_name, trained, verdict)
        self._client.set_registered_model_alias(model_name, CHALLENGER, version)
        return Registration(
            model_name=model_name,
            version=version,
            model_uri=trained.model_uri,
            model_digest=trained.model_digest,
            previous_champion=self.champion(model_name),
        )

    def promote(self, model_name: str, version: str, expected: str | None) -> None:
        """Move alias `champion` from `expected` to `version`; again is a no-op.

        MLflow has no compare-and-set: the alias is read before and after, under the caller's claim.

        Raises:
            ConflictError: the alias is neither at `expected` nor at `version`.
        """
        current = self.champion(model_name)
        if current == version:
            return
        if current != expected:
            raise _conflict(model_name, version, expected, current)
        self._client.set_registered_model_alias(model_name, CHAMPION, version)
        after = self.champion(model_name)
        if after != version:
            raise _conflict(model_name, version, expected, after)

    def trained(self, model_name: str, version: str) -> TrainedModel:
        """The training behind a version."""
        enter_experiment(self._client, self._settings, model_name)
        return read_training(self._client, str(self._get(model_name, version).run_id))

    def download(self, model_name: str, version: str, folder: Path) -> Path:
        """The version's model folder (booster.ubj, encoding.json), its digest checked.

        Raises:
            LakeloopError: the version does not exist, or its bytes are not those that were trained.
        """
        found = self._get(model_name, version)
        digest, place = found.tags.get("lakeloop.model_digest", ""), f"model {model_name} version {version}"
        return download_folder(str(found.source), folder, digest, self._settings, place)

    def _get(self, model_name: str, version: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(model_name, version)
        except MlflowException as error:
            unknown = error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
            kind = UserError if unknown else LakeloopError
            raise kind(
                f"no version {version}: {error.message}",
                where=f"model {model_name}",
                fix="lakeloop history shows versions",
            ) from error

    def _ensure_model(self, model_name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _versions(self, model_name: str, trained: TrainedModel) -> list[str]:
        """Versions of the run key, oldest first."""
        found = self._client.search_model_versions(f"name = '{model_name}'")
        return sorted(
            (str(v.version) for v in found if v.tags.get(RUN_KEY) == trained.lineage.run_key), key=int
        )

    def _version_of(self, model_name: str, trained: TrainedModel) -> str | None:
        return next(iter(self._versions(model_name, trained)), None)

    def _create(self, model_name: str, trained: TrainedModel, verdict: Verdict) -> str:
        tags = lineage_tags(trained.lineage) | {
            "lakeloop.model_digest": trained.model_digest,
            VERDICT: verdict.decision,
        }
        model_id = logged_model_id(trained.model_uri)
        logged = {} if model_id is None else {"model_id": model_id}
        made = self._client.create_model_version(
            model_name,
            # Not the models:/ URI: the SQL store would resolve it by the process's own tracking URI.
            source=artifact_location(self._client, trained.model_uri),
            run_id=trained.mlflow_run_id,
            tags=tags,
            await_creation_for=0,
            **logged,
        )
        first, *others = self._versions(model_name, trained)
        if others and str(made.version) != first:
            self._client.delete_model_version(model_name, str(made.version))
        return first


def _conflict(model_name: str, version: str, expected: str | None, current: str | None) -> ConflictError:
    return ConflictError(
        f"champion is version {current or 'none'}, not {expected or 'none'}: somebody promoted since",
        where=f"model {model_name}",
        fix=f"evaluate version {version} against the present champion",
    )
