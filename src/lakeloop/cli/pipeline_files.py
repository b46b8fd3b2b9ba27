"""The committed pipelines, found in the repository and in an installed package alike."""

from importlib.resources import files
from pathlib import Path

from lakeloop.domain.errors import LakeloopError, UserError


def pipeline_file(name: str) -> Path:
    """Path of `pipelines/NAME/pipeline.yaml`.

    Raises:
        LakeloopError: the installation lacks it.
    """
    try:
        path = Path(str(files("pipelines").joinpath(name, "pipeline.yaml")))
    except ModuleNotFoundError as error:
        raise LakeloopError("this installation has no pipelines", fix="install lakeloop again") from error
    if not path.is_file():
        raise LakeloopError(f"no pipeline {name!r} in this installation", where=str(path))
    return path


def committed_pipeline(name: str) -> Path:
    """`pipeline_file` for a name that a user gave.

    Raises:
        UserError: there is no such pipeline; names those there are.
    """
    folder = Path(str(files("pipelines")))
    known = sorted(path.parent.name for path in folder.glob("*/pipeline.yaml"))
    if name not in known:
        raise UserError(f"no pipeline {name!r}", where="--pipeline", fix=f"use one of {', '.join(known)}")
    return pipeline_file(name)
