"""From a candidate to a built build: its serving folder, its registered version, its build, each made once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lakeloop.adapters.cai import artifact
from lakeloop.adapters.cai.api import Api, Item
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.adapters.cai.versions import Versions
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.rollout import Candidate
from lakeloop.domain.workbench import WorkbenchDeployment
from lakeloop.domain.workbench_models import Build, choose_runtime, marked
from lakeloop.ports.serving_models import ServingModels


class Candidates:
    """Builds candidates; keeps their serving folders until this process ends."""

    def __init__(self, api: Api, spec: WorkbenchDeployment, models: ServingModels) -> None:
        self._api, self._spec, self._models = api, spec, models
        self._scratch = tempfile.TemporaryDirectory(prefix="lakeloop-cai-")
        self._folders: dict[str, Path] = {}

    def keep(self, candidate: Candidate) -> str:
        """Check the candidate's bytes and write its serving folder; its handle.

        Raises:
            LakeloopError: they are not the registered ones.
        """
        handle = candidate.identity.digest()[:20]
        folder = Path(self._scratch.name) / handle
        if handle not in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            artifact.write_artifact(candidate, folder, metrics=self._spec.metrics)
            self._folders[handle] = folder
        return handle

    def folder(self, handle: str) -> Path | None:
        """The serving folder of a candidate that is under way."""
        return self._folders.get(handle)

    def forget(self, handle: str) -> None:
        """A candidate that was given up."""
        folder = self._folders.pop(handle, None)
        if folder is not None:
            shutil.rmtree(folder)

    def build(
        self, model: WorkbenchModel, endpoint: str, candidate: Candidate, handle: str
    ) -> tuple[str, Build]:
        """Model id and the candidate's build, once it is built.

        Raises:
            CallError: the workbench refuses.
            LakeloopError: the build failed, or not in time.
        """
        found = model.find()
        known = model.build_of(str(found["id"]), handle) if found else None
        if found is not None and known is not None:
            self._api.tell(f"build {known.build_id} of version {candidate.identity.version} is there")
            model_id, build_id = str(found["id"]), known.build_id
        else:
            model_id, build_id = self._make(model, endpoint, candidate, handle)
        model.wait_built(model_id, build_id, self._spec.build_timeout_seconds)
        built = model.build_of(model_id, handle)
        if built is None:
            raise LakeloopError(f"build {build_id} is gone", where=f"model {model.name}", fix="run again")
        return model_id, built

    def _make(
        self, model: WorkbenchModel, endpoint: str, candidate: Candidate, handle: str
    ) -> tuple[str, str]:
        source, registered_id = self._source(endpoint, candidate, handle)
        runtime = choose_runtime(self._api.pages("list_runtimes", "runtimes"), self._spec.runtime)
        model_id = str(model.ensure(registered_id)["id"])
        identity = candidate.identity
        fields = {
            **source,
            "comment": marked(handle, f"{identity.model_name} version {identity.version}"),
            "runtime_identifier": runtime,
            "runtime_addon_identifiers": list(self._spec.runtime.addons) or None,
        }
        self._api.tell(f"building version {identity.version} on {runtime}")
        return model_id, model.make_build(model_id, handle, fields)

    def _source(self, endpoint: str, candidate: Candidate, handle: str) -> tuple[Item, str | None]:
        folder = self._folders[handle]
        if self._spec.model_from == "project_files":
            return self._files(endpoint, handle, folder), None
        artifact_ = self._models.publish(candidate.identity.mlflow_run_id, handle, folder)
        self._api.tell(f"registering version {candidate.identity.version} of {endpoint}")
        limit = self._spec.build_timeout_seconds
        registered_id, version_id = Versions(self._api, endpoint).ensure(handle, artifact_, limit)
        return {"registered_model_version_id": version_id}, registered_id

    def _files(self, endpoint: str, handle: str, folder: Path) -> Item:
        project = self._api.where.project_folder
        if project is None:
            raise UserError(
                "the project's files are not here, and API v2 takes none from a client",
                where="deployment.cai.model_from: project_files",
                fix="run it in a session or job of the project, or use model_from: registry",
            )
        root = Path(artifact.PROJECT_FOLDER) / endpoint / handle
        target = project / root
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{handle}.", dir=target.parent))
            shutil.copytree(folder, temporary, dirs_exist_ok=True)
            temporary.chmod(0o755)
            temporary.rename(target)
        return {
            "file_path": artifact.SCRIPT,
            "function_name": artifact.FUNCTION,
            "model_root_dir": str(root),
            "build_script_path": artifact.BUILD_SCRIPT,
        }
