"""Where a build's image comes from: a registered version's artifact, or files of the project."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Artifacts = Callable[[str, str, str], Path]
"""(experiment id, run id, artifact path) -> folder; raises LookupError where there is none."""


def from_registry(artifacts: Artifacts, registered: dict[str, str], image: Path) -> None:
    """Copy the artifact as it is now."""
    source = artifacts(registered["experiment_id"], registered["run_id"], registered["model_path"])
    shutil.copytree(source, image)


def from_project(project_folder: Path, build: dict[str, Any], image: Path) -> None:
    """Copy the model's root folder (else the script's own), and note what to call.

    Raises:
        LookupError: there is no such script.
    """
    script = Path(build["file_path"])
    root = Path(build.get("model_root_dir") or "")
    if not (project_folder / root / script).is_file():
        raise LookupError(f"{root / script} not found in the project")
    wanted = root if str(root) != "." else script.parent
    shutil.copytree(project_folder / wanted, image, ignore=shutil.ignore_patterns(".git"))
    inside = (root / script).relative_to(wanted)
    call = {"file_path": str(inside), "function_name": build["function_name"]}
    (image / "model.json").write_text(json.dumps(call), encoding="utf-8")
