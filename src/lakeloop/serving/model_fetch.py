"""A model's files from a storage URI into a folder, where `lakeloop.serving.model` checks and loads them."""

from __future__ import annotations

from pathlib import Path

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import IDENTITY_FILE, MODEL_FILES


def fetch(uri: str, folder: Path, identity: str) -> None:
    """Copy the model and write its identity; a file at a time, so that memory holds one of them at most.

    Args:
        uri: folder with `MODEL_FILES`, on any file system that Arrow knows, e.g. `s3://bucket/models/DIGEST`.
        folder: made if it is not there.
        identity: JSON of `lakeloop.domain.rollout.Identity`, which names the bytes' digest.

    Raises:
        LakeloopError: a file is missing or the storage does not answer.
        OSError: the folder cannot be written.
    """
    import pyarrow as pa
    from pyarrow import fs

    folder.mkdir(parents=True, exist_ok=True)
    try:
        filesystem, base = fs.FileSystem.from_uri(uri)
        for name in MODEL_FILES:
            with filesystem.open_input_stream(f"{base}/{name}") as stream:
                (folder / name).write_bytes(stream.read())
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).strip().splitlines()[0]
        raise LakeloopError(
            f"the model cannot be fetched: {reason}", where=uri, fix="check the storage and its credentials"
        ) from error
    (folder / IDENTITY_FILE).write_text(identity, encoding="utf-8")
