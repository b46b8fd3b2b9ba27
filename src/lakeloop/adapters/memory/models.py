"""Runs and versions in memory: what RunTracker and ModelRegistry promise, without MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.domain.errors import ConflictError, LakeloopError, UserError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.lineage import Lineage
from lakeloop.domain.model_files import MODEL_FILES, model_digest
from lakeloop.domain.rollout import Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Verdict

if TYPE_CHECKING:
    import pyarrow as pa


class MemoryModels:
    """RunTracker and ModelRegistry in one; `files`, `verdicts` and `artifacts` show what was logged."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.artifacts: dict[tuple[str, str], bytes] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self._by_run_key: dict[tuple[str, str], TrainedModel] = {}
        self._versions: dict[str, list[TrainedModel]] = {}

    def find(self, lineage: Lineage) -> TrainedModel | None:
        """The finished training of this run key, if there is one."""
        return self._by_run_key.get((lineage.use_case, lineage.run_key))

    def log_training(
        self,
        trained: TrainedModel,
        model_folder: Path,
        encoding: FeatureEncoding,  # noqa: ARG002 - the port's signature
        example: pa.Table,  # noqa: ARG002
        parameters: dict[str, str],  # noqa: ARG002
    ) -> TrainedModel:
        """Log once; the trained model with run id and model URI filled in."""
        found = self.find(trained.lineage)
        if found is not None:
            return found
        run_id = f"run-{len(self._by_run_key)}"
        logged = trained.model_copy(update={"mlflow_run_id": run_id, "model_uri": f"memory:/{run_id}"})
        self.files[run_id] = {name: (model_folder / name).read_bytes() for name in MODEL_FILES}
        self._by_run_key[trained.lineage.use_case, trained.lineage.run_key] = logged
        return logged

    def fetch(self, trained: TrainedModel, folder: Path) -> Path:
        """The training's model folder, its digest checked.

        Raises:
            LakeloopError: its bytes are not those that were trained.
        """
        return self._write(trained, folder)

    def log_verdict(self, mlflow_run_id: str, verdict: Verdict) -> None:
        """Keep the verdict."""
        self.verdicts[mlflow_run_id] = verdict

    def log_file(self, mlflow_run_id: str, path: Path, folder: str) -> None:
        """Keep the file's bytes."""
        self.artifacts[mlflow_run_id, f"{folder}/{path.name}"] = path.read_bytes()

    def champion(self, model_name: str) -> str | None:
        """Version behind alias `champion`, or None."""
        return self.aliases.get((model_name, "champion"))

    def register(self, model_name: str, trained: TrainedModel, verdict: Verdict) -> Registration:  # noqa: ARG002
        """The version of this run key: found, or made, with alias `challenger`."""
        versions = self._versions.setdefault(model_name, [])
        keys = [known.lineage.run_key for known in versions]
        if trained.lineage.run_key not in keys:
            versions.append(trained)
            keys.append(trained.lineage.run_key)
        version = str(keys.index(trained.lineage.run_key) + 1)
        self.aliases[model_name, "challenger"] = version
        return Registration(
            model_name=model_name,
            version=version,
            model_uri=trained.model_uri,
            model_digest=trained.model_digest,
            previous_champion=self.champion(model_name),
        )

    def promote(self, model_name: str, version: str, expected: str | None) -> None:
        """Move alias `champion` from `expected` to `version`; again is a no-op.

        Raises:
            ConflictError: the alias is neither at `expected` nor at `version`.
        """
        if self.champion(model_name) not in {expected, version}:
            raise ConflictError(f"champion is {self.champion(model_name)}, not {expected}", where=model_name)
        self.aliases[model_name, "champion"] = version

    def trained(self, model_name: str, version: str) -> TrainedModel:
        """The training behind a version.

        Raises:
            UserError: there is no such version.
        """
        versions = self._versions.get(model_name, [])
        if not version.isdigit() or not 1 <= int(version) <= len(versions):
            raise UserError(f"no version {version}", where=f"model {model_name}")
        return versions[int(version) - 1]

    def download(self, model_name: str, version: str, folder: Path) -> Path:
        """The version's model folder, its digest checked.

        Raises:
            LakeloopError: there is no such version, or its bytes are not those that were trained.
        """
        return self._write(self.trained(model_name, version), folder)

    def _write(self, trained: TrainedModel, folder: Path) -> Path:
        files = self.files[trained.mlflow_run_id]
        if model_digest(files) != trained.model_digest:
            raise LakeloopError("the model's bytes have another digest", where=f"run {trained.mlflow_run_id}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder
