"""The committed pipelines, found in the repository and in an installed package alike."""

from importlib.resources import files
from pathlib import Path

from lakeloop.domain.errors import LakeloopError


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
