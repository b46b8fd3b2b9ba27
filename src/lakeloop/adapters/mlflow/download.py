"""Model folders from MLflow's artifact store: the bytes are checked, whoever asks."""

from __future__ import annotations

from pathlib import Path

from lakeloop.adapters.mlflow.model_files import OWN_FOLDER
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import MODEL_FILES, model_digest
from lakeloop.settings import Settings


def download_folder(location: str, folder: Path, digest: str, settings: Settings, place: str) -> Path:
    """The model folder below an artifact URI.

    Args:
        location: URI of the MLflow model.
        folder: where to put it; made if absent.
        digest: what its bytes must be.
        settings: tracking store.
        place: run or version, for the error.

    Raises:
        LakeloopError: its bytes are not those that were trained.
    """
    from mlflow.artifacts import download_artifacts

    folder.mkdir(parents=True, exist_ok=True)
    path = Path(
        download_artifacts(
            artifact_uri=f"{location}/{OWN_FOLDER}", dst_path=str(folder), tracking_uri=settings.tracking_uri
        )
    )
    found = model_digest({name: (path / name).read_bytes() for name in MODEL_FILES})
    if found != digest:
        raise LakeloopError(
            f"the model's bytes have digest {found}, not {digest}",
            where=place,
            fix="the artifact was changed after training; go back to another version, or train again",
        )
    return path
