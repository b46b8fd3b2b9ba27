"""The manifest of a generated batch: written last, it says that all files are there."""

from __future__ import annotations

from collections.abc import Callable

from pyarrow import fs
from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.batch import Batch, BatchOptions
from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.parts import batch_rows, content_key, file_parts, write_atomically
from lakeloop.generation.rows import Part

_NAME = "_manifest.json"
WriteParts = Callable[[UseCase, dict[str, Part], str], dict[str, int]]


class Manifest(Frozen):
    """What a batch's folder holds."""

    content_key: str
    rows: int
    sizes: dict[str, int] = Field(description="File name -> bytes.")


def write_batch(
    use_case: UseCase, number: int, options: BatchOptions, staging_uri: str, write_parts: WriteParts
) -> Batch:
    """Write the batch below the staging URI, unless it lies there whole already.

    Args:
        use_case: with a synthetic source.
        number: the batch's number.
        options: rows, plants, and a batch id of the caller's, if any.
        staging_uri: where batches wait.
        write_parts: writes each part as one file of the folder URI; returns sizes in bytes by file name.

    Raises:
        UserError: the caller's batch id names other rows already; or the use case or a plant is wrong.
    """
    rows = batch_rows(use_case, options)
    key = content_key(use_case, number, rows, options.plants)
    batch_id = options.batch_id or key
    folder = f"{staging_uri.rstrip('/')}/batches/{use_case.name}/{batch_id}"
    parts = file_parts(number, rows, options.plants)
    if not _complete(folder, key, batch_id):
        sizes = write_parts(use_case, parts, folder)
        manifest = Manifest(content_key=key, rows=rows, sizes=sizes)
        write_atomically(f"{folder}/{_NAME}", manifest.model_dump_json(indent=2).encode())
    files = tuple(f"{folder}/{name}" for name in parts)
    return Batch(kind="synthetic", batch_id=batch_id, number=number, files=files, format="parquet", rows=rows)


def _complete(folder: str, key: str, batch_id: str) -> bool:
    filesystem, path = fs.FileSystem.from_uri(folder)
    try:
        with filesystem.open_input_stream(f"{path}/{_NAME}") as stream:
            manifest = Manifest.model_validate_json(stream.read())
    except FileNotFoundError:
        return False
    if manifest.content_key != key:
        raise UserError(
            f"batch id {batch_id!r} already names other rows", where=folder, fix="choose another batch id"
        )
    found = filesystem.get_file_info([f"{path}/{name}" for name in manifest.sizes])
    return [f.size for f in found] == list(manifest.sizes.values())
