"""The columns of a batch's files, checked against the declared schema before any JVM starts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from lakeloop.domain.batch import Batch
from lakeloop.domain.errors import UserError
from lakeloop.domain.features import case_problem
from lakeloop.domain.use_case import ColumnType, FilesSource, UseCase

_HEADER_BYTES = 2**20
_BYTES_A_ROW = 20
_INTEGERS: dict[str, tuple[str, ...]] = {
    "int": ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
    "float": ("halffloat", "float", "double", "int8", "int16", "int32", "uint8", "uint16"),
}
_READABLE: dict[ColumnType, tuple[str, ...]] = {
    "string": ("string", "large_string", "dictionary"),
    "boolean": ("bool",),
    "int": _INTEGERS["int"],
    "long": _INTEGERS["int"],
    "float": _INTEGERS["float"],
    "double": (*_INTEGERS["float"], "int64", "uint32", "decimal"),
    "date": ("date32", "date64"),
    "timestamp": ("timestamp",),
}


@dataclass(frozen=True)
class Layout:
    """Files of one batch that have the same columns in the same order. JSON files have no header: `columns` is ()."""

    files: tuple[str, ...]
    columns: tuple[str, ...]
    nanosecond_columns: tuple[str, ...] = ()


def layouts(use_case: UseCase, batch: Batch) -> list[Layout]:
    """The batch's files, grouped by their columns.

    Raises:
        UserError: a file cannot be read, or a column is missing, repeated, undeclared or of another type.
    """
    if batch.format == "json":
        for uri in batch.files:
            _first_bytes(uri)
        return [Layout(files=batch.files, columns=())]
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for uri in batch.files:
        columns, nanoseconds = (
            _parquet(use_case, uri) if batch.format == "parquet" else (_header(use_case, uri), ())
        )
        check_names(use_case, columns, uri)
        groups.setdefault((columns, nanoseconds), []).append(uri)
    return [Layout(tuple(files), columns, nanos) for (columns, nanos), files in groups.items()]


def check_names(use_case: UseCase, columns: Iterable[str], where: str) -> None:
    """Compare column names with the declared ones.

    Raises:
        UserError: one is missing, repeated (also in another case) or, with `extra_columns: refuse`, not declared.
    """
    found, declared = list(columns), use_case.table.columns
    repeated = sorted({c for c in found if found.count(c) > 1})
    missing = [c for c in declared if c not in found]
    extra = [c for c in found if c not in declared]
    if repeated:
        raise UserError(f"column {repeated[0]!r} is there twice", where=where, fix="name each column once")
    taken = {c.lower() for c in declared}
    if problem := case_problem(c for c in found if c.lower() in taken):
        raise UserError(f"columns {problem}", where=where, fix="rename one of them")
    if missing:
        names = ", ".join(map(repr, missing))
        raise UserError(
            f"column {names} is missing; there are {', '.join(found)}",
            where=where,
            fix="deliver it, or take it out of table.columns",
        )
    if extra and use_case.expectations.extra_columns == "refuse":
        raise UserError(
            f"column {', '.join(map(repr, extra))} is not declared",
            where=where,
            fix="declare it in table.columns, or set expectations.extra_columns: drop",
        )


def spark_path(uri: str) -> str:
    """A file's URI as Spark takes it: undecoded, S3 by Hadoop's name, nothing in it a glob."""
    parts = urlsplit(uri)
    if parts.scheme in {"", "file"}:
        path = unquote(parts.path) if parts.scheme else uri
        plain = f"file://{path}"
    else:
        plain = f"s3a://{uri[5:]}" if parts.scheme == "s3" else uri
    return "".join(f"\\{c}" if c in "{}[]*?\\" else c for c in plain)


def csv_delimiter(use_case: UseCase) -> str:
    """Declared, or a comma."""
    return use_case.source.csv_delimiter if isinstance(use_case.source, FilesSource) else ","


def estimated_rows(batch: Batch) -> int:
    """Rows of a batch: as told, else one for every 20 bytes of its files, which is rather too many than too few."""
    return batch.rows if batch.rows is not None else sum(map(file_size, batch.files)) // _BYTES_A_ROW


def file_size(uri: str) -> int:
    """Bytes of a file."""
    filesystem, path = fs.FileSystem.from_uri(uri)
    return int(filesystem.get_file_info(path).size or 0)


def _header(use_case: UseCase, uri: str) -> tuple[str, ...]:
    try:
        text = _first_bytes(uri).decode(
            "utf-8-sig", errors="strict" if file_size(uri) < _HEADER_BYTES else "ignore"
        )
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text: {error}", where=uri, fix="convert it to UTF-8") from error
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=csv_delimiter(use_case))
    try:
        return tuple(next(rows))
    except (StopIteration, csv.Error) as error:
        raise UserError(
            "there is no header line", where=uri, fix="the first line names the columns"
        ) from error


def _first_bytes(uri: str) -> bytes:
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
        with filesystem.open_input_stream(path, compression="detect") as stream:
            first = bytes(stream.read(_HEADER_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(uri, error) from error
    if not first.strip():
        raise UserError("the file is empty", where=uri, fix="deliver rows, or remove the file")
    return first


def _parquet(use_case: UseCase, uri: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    schema = _parquet_schema(uri)
    for name, declared in use_case.table.columns.items():
        if name in schema.names:
            _check_type(uri, name, str(schema.field(name).type), declared)
    nanos = tuple(f.name for f in schema if str(f.type).startswith("timestamp[ns"))
    return tuple(schema.names), nanos


def _parquet_schema(uri: str) -> pa.Schema:
    from pyarrow import parquet

    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
        return parquet.read_schema(path, filesystem=filesystem)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(uri, error) from error


def _check_type(uri: str, name: str, found: str, declared: ColumnType) -> None:
    kind = (
        found.partition("[")[0]
        .partition("(")[0]
        .partition("<")[0]
        .rstrip("0123456789" if "decimal" in found else "")
    )
    if kind not in _READABLE[declared]:
        raise UserError(
            f"column {name!r} has type {found}, declared is {declared}",
            where=uri,
            fix="deliver the declared type, or declare the delivered one in table.columns",
        )


def _unreadable(uri: str, error: Exception) -> UserError:
    return UserError(
        f"the file cannot be read: {error}", where=uri, fix="check that it is there, whole and readable"
    )
