"""A batch as Parquet files: where each row lies, and one file written whole or not at all."""

from __future__ import annotations

import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from lakeloop.domain.base import canonical_json, sha256_hex
from lakeloop.domain.batch import BatchOptions, Plants
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.rows import Part, arrow_schema, generate_rows, synthetic_source

ROWS_PER_FILE = 1 << 19
ROWS_PER_GROUP = 1 << 17


def content_key(use_case: UseCase, number: int, rows: int, plants: Plants) -> str:
    """Identity of a synthetic batch's rows, 20 hex digits: over all that they depend on."""
    value = {
        "source": synthetic_source(use_case).model_dump(mode="json", exclude={"rows"}),
        "columns": use_case.table.columns,
        "label": use_case.label.column,
        "ranges": use_case.expectations.model_dump(mode="json") if plants.out_of_range else None,
        "number": number,
        "rows": rows,
        "plants": plants.model_dump(mode="json"),
    }
    return sha256_hex(canonical_json(value))[:20]


def batch_rows(use_case: UseCase, options: BatchOptions) -> int:
    """Rows asked for, or else the use case's."""
    return options.rows or synthetic_source(use_case).rows


def file_parts(number: int, rows: int, plants: Plants) -> dict[str, Part]:
    """File name -> its rows, in order."""
    starts = range(0, rows, ROWS_PER_FILE)
    return {
        f"part-{i:05d}.parquet": Part(number, rows, start, min(ROWS_PER_FILE, rows - start), plants)
        for i, start in enumerate(starts)
    }


def write_part(use_case: UseCase, part: Part, folder_uri: str, name: str) -> int:
    """Write the part's rows as one Parquet file, the same bytes each time; returns its size in bytes."""
    sink, schema = io.BytesIO(), arrow_schema(use_case)
    # A dictionary of numbers that hardly repeat takes most of the time and nearly doubles the file.
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=texts or False) as writer:
        for start in range(part.start, part.start + part.count, ROWS_PER_GROUP):
            count = min(ROWS_PER_GROUP, part.start + part.count - start)
            writer.write_table(
                generate_rows(use_case, Part(part.number, part.total, start, count, part.plants))
            )
    write_atomically(f"{folder_uri}/{name}", sink.getvalue())
    return sink.tell()


def write_atomically(uri: str, content: bytes) -> None:
    """Readers see the whole file or none: a rename on local disks; an object store's put is atomic."""
    filesystem, path = fs.FileSystem.from_uri(uri)
    local = isinstance(filesystem, fs.LocalFileSystem)
    target = f"{path}.{uuid.uuid4().hex}.tmp" if local else path
    if local:
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    with filesystem.open_output_stream(target) as stream:
        stream.write(content)
    if local:
        filesystem.move(target, path)
