"""Model files under their content address, on any file system that Arrow knows: written once, read by predictors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.model_files import MODEL_FILES, model_digest
from lakeloop.domain.rollout import Candidate


class ModelStore:
    """`ROOT/DIGEST/` for each model."""

    def __init__(self, root_uri: str) -> None:
        self._root_uri = root_uri.rstrip("/")

    def keep(self, candidate: Candidate) -> str:
        """Write the candidate's files unless these very bytes are there; their URI.

        Raises:
            UserError: no place is configured.
            LakeloopError: the candidate's bytes are not those that its identity names, or the storage fails.
        """
        if not self._root_uri:
            raise UserError(
                "no place for models that the cluster can read",
                where="LAKELOOP_MODELS_URI",
                fix="set it, e.g. to s3://lakeloop/models",
            )
        files, digest = _checked(candidate), candidate.identity.model_digest
        uri = f"{self._root_uri}/{digest}"
        self._write(uri, files, digest)
        return uri

    def _write(self, uri: str, files: dict[str, bytes], digest: str) -> None:
        import pyarrow as pa
        from pyarrow import fs

        try:
            filesystem, base = fs.FileSystem.from_uri(uri)
            if _digest(filesystem, base) == digest:
                return
            if isinstance(filesystem, fs.LocalFileSystem):
                filesystem.create_dir(base, recursive=True)
            for name, content in files.items():
                with filesystem.open_output_stream(f"{base}/{name}") as stream:
                    stream.write(content)
        except (OSError, pa.ArrowInvalid) as error:
            reason = str(error).strip().splitlines()[0]
            raise LakeloopError(
                f"the model cannot be stored: {reason}",
                where=uri,
                fix="check LAKELOOP_MODELS_URI, AWS_ENDPOINT_URL and the credentials",
            ) from error


def _checked(candidate: Candidate) -> dict[str, bytes]:
    folder = Path(candidate.model_folder)
    files = {name: (folder / name).read_bytes() for name in MODEL_FILES}
    digest = model_digest(files)
    if digest != candidate.identity.model_digest:
        raise LakeloopError(
            f"the model's bytes have digest {digest}, but version {candidate.identity.version} "
            f"was registered with {candidate.identity.model_digest}",
            where=candidate.model_folder,
            fix="download the registered version again",
        )
    return files


def _digest(filesystem: Any, base: str) -> str | None:
    from pyarrow import fs

    infos = filesystem.get_file_info([f"{base}/{name}" for name in MODEL_FILES])
    if any(info.type != fs.FileType.File for info in infos):
        return None
    files = {}
    for name in MODEL_FILES:
        with filesystem.open_input_stream(f"{base}/{name}") as stream:
            files[name] = stream.read()
    return model_digest(files)
