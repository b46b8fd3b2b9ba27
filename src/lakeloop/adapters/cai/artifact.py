"""What a build of the workbench is made of: the model's files, and the two ways in which it is called."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import dedent

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import IDENTITY_FILE, MODEL_FILES, model_digest
from lakeloop.domain.rollout import Candidate

SCRIPT, FUNCTION, BUILD_SCRIPT = "predict.py", "predict", "cdsw-build.sh"
PROJECT_FOLDER = "lakeloop_models"
_PACKAGES = ("xgboost-cpu", "numpy", "duckdb", "pyarrow", "pydantic", "pydantic-settings")


def write_artifact(candidate: Candidate, folder: Path, *, metrics: bool) -> None:
    """Write the serving folder: an MLflow model for registered versions, a script for builds of files.

    Args:
        candidate: its model's bytes must be those that its identity names.
        folder: empty.
        metrics: whether the script tracks predictions with the workbench's model metrics.

    Raises:
        LakeloopError: the model's bytes are not the registered ones.
    """
    source = Path(candidate.model_folder)
    digest = model_digest({name: (source / name).read_bytes() for name in MODEL_FILES})
    if digest != candidate.identity.model_digest:
        raise LakeloopError(
            f"the model's bytes have digest {digest}, but version {candidate.identity.version} "
            f"was registered with {candidate.identity.model_digest}",
            where=candidate.model_folder,
            fix="download the registered version again",
        )
    for name in MODEL_FILES:
        shutil.copyfile(source / name, folder / name)
    (folder / IDENTITY_FILE).write_text(candidate.identity.model_dump_json(indent=2), encoding="utf-8")
    requirements = "\n".join(["lakeloop[serve]", *_pinned()]) + "\n"
    texts = {"MLmodel": _ML_MODEL, "requirements.txt": requirements, SCRIPT: _script(metrics=metrics)}
    texts[BUILD_SCRIPT] = "pip install -r requirements.txt\n"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


_ML_MODEL = dedent(
    """\
    flavors:
      python_function:
        loader_module: lakeloop.serving.workbench.mlflow_model
        env:
          virtualenv: python_env.yaml
    mlflow_version: 2.19.0
    """
)


def _script(*, metrics: bool) -> str:
    return dedent(
        f"""\
        # Answers for the model in this folder; written by lakeloop.
        from pathlib import Path

        from lakeloop.serving.workbench.script import function_of

        here = Path(globals().get("__file__", "{SCRIPT}")).resolve().parent
        predict = function_of(here, metrics={metrics})
        """
    )


def _pinned() -> list[str]:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return found
