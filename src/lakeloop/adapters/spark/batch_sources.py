"""A batch's files where Spark can read them, and as they were when the batch was fixed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from lakeloop.adapters.spark.session import is_local
from lakeloop.domain.batch import Batch
from lakeloop.domain.errors import UserError
from lakeloop.domain.source_files import SourceFile
from lakeloop.settings import Settings

_CHUNK_BYTES = 8 * 2**20


@contextmanager
def readable(settings: Settings, batch: Batch) -> Iterator[Batch]:
    """The batch with files that this Spark can read: a local one has no S3 connector, so remote files are fetched.

    Raises:
        UserError: a file cannot be fetched, or is another one than when the batch was fixed.
    """
    remote = [uri for uri in batch.files if urlsplit(uri).scheme not in {"", "file"}]
    if not remote or not is_local(settings.spark_master):
        yield batch
        return
    folder = settings.root / "fetched" / str(batch.batch_id)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        known = {file.uri: file for file in batch.source_files}
        files = [_fetch(known.get(uri, SourceFile(uri=uri)), folder, i) for i, uri in enumerate(batch.files)]
        yield batch.model_copy(update={"files": tuple(files)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_unchanged(batch: Batch) -> None:
    """Compare the files with what they were when the batch was fixed.

    Raises:
        UserError: one has changed since.
    """
    for file in batch.source_files:
        if file.uri in batch.files and file.sha256:
            _expect(file, _digest(file.uri, None))


def _fetch(file: SourceFile, folder: Path, number: int) -> str:
    if urlsplit(file.uri).scheme in {"", "file"}:
        return file.uri
    path = folder / f"{number:05d}-{file.name}"
    digest = _digest(file.uri, path)
    if file.sha256:
        _expect(file, digest)
    return path.as_uri()


def _digest(uri: str, copy_to: Path | None) -> str:
    digest = hashlib.sha256()
    try:
        filesystem, source = fs.FileSystem.from_uri(uri)
        with (
            filesystem.open_input_stream(source, compression=None) as stream,
            (copy_to or Path("/dev/null")).open("wb") as copy,
        ):
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"the file cannot be read: {error}", where=uri, fix="check that it is there and readable"
        ) from error
    return digest.hexdigest()


def _expect(file: SourceFile, digest: str) -> None:
    if digest != file.sha256:
        raise UserError(
            "the file changed after the batch was fixed",
            where=file.uri,
            fix="deliver files whole, by renaming them into place; then run again",
        )
