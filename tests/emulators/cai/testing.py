"""An emulated workbench for tests: the client installed from its URL, and lakeloop's adapters on it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.connection import Connection
from lakeloop.adapters.cai.deployer import CaiDeployer
from lakeloop.adapters.cai.patience import Patience
from lakeloop.domain.workbench import WorkbenchDeployment
from lakeloop.ports.serving_models import RunArtifact
from tests.emulators.cai import client_package
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.workbench import Workbench

SPEED = 2400.0
QUICK = Patience(first=0.01, most=0.05, call=5.0, look=0.5, long_look=10.0)
SPEC = WorkbenchDeployment(build_timeout_seconds=30, deploy_timeout_seconds=30)


class FolderServingModels:
    """ServingModels in a folder, which the emulated workbench reads as its experiments' artifacts."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def publish(self, run_id: str, name: str, folder: Path) -> RunArtifact:
        """Copy the folder, once."""
        artifact = RunArtifact(experiment_id="7", run_id=run_id, path=f"serving/{name}")
        target = self._root / artifact.experiment_id / run_id / artifact.path
        if not target.exists():
            shutil.copytree(folder, target)
        return artifact

    def artifact(self, experiment_id: str, run_id: str, model_path: str) -> Path:
        """Where it lies; LookupError where it does not."""
        folder = self._root / experiment_id / run_id / model_path
        if not folder.is_dir():
            raise LookupError(f"run {run_id} of experiment {experiment_id} has no artifact {model_path}")
        return folder


@contextmanager
def emulated(folder: Path, **options: Any) -> Iterator[Emulator]:
    """A workbench whose minutes last milliseconds; `cmlapi` can be imported inside."""
    served = {k: options.pop(k) for k in ("environment_as_map", "odd") if k in options}
    models = FolderServingModels(folder / "experiments")
    workbench = Workbench(folder, **{"speed": SPEED, "artifacts": models.artifact, **options})
    with Emulator(workbench, **served) as emulator:
        site = str(client_package.installed(emulator.url))
        if site not in sys.path:
            sys.path.insert(0, site)
        path = os.pathsep.join([site, *filter(None, [os.environ.get("PYTHONPATH", "")])])
        with mock.patch.dict(os.environ, {"PYTHONPATH": path}):  # for processes that are started inside
            yield emulator


def connection_to(emulator: Emulator, **changes: Any) -> Connection:
    """As a session of the project has it."""
    workbench = emulator.workbench
    return replace(
        Connection(
            url=emulator.url,
            project_id=workbench.project_id,
            model_service_url=emulator.model_service_url,
            project_folder=workbench.project_folder,
            api_key=workbench.api_key,
            model_key=workbench.application_key,
        ),
        **changes,
    )


def api_of(emulator: Emulator, told: list[str] | None = None, patience: Patience = QUICK) -> Api:
    """API v2 of the emulator; what it tells is appended to `told`."""
    return Api(connection_to(emulator), patience, (told if told is not None else []).append)


def deployer_of(
    emulator: Emulator, spec: WorkbenchDeployment = SPEC, told: list[str] | None = None
) -> CaiDeployer:
    """A new deployer, as a new process would make it."""
    models = FolderServingModels(emulator.workbench.folder / "experiments")
    return CaiDeployer(api_of(emulator, told), spec, models)
