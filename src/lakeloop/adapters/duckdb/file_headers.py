"""What a draft needs of files besides their rows: names as they stand there, and why a file cannot be read."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from typing import Any, TextIO

from lakeloop.domain.errors import UserError
from lakeloop.domain.features import alike_but_for_case

_DELIMITERS = (",", ";", "\t", "|")


def check_header(kind: str, path: str, delimiter: str, read: Sequence[str]) -> None:
    """DuckDB finds names where a file has none, or one twice, and so would draft columns that no batch has.

    Args:
        kind: `csv`, `parquet` or `json`.
        path: of the first file.
        delimiter: of CSV, as DuckDB found it.
        read: the columns that DuckDB made of it.

    Raises:
        UserError: a column has no name, or two have one; or the lines are no table, or no JSON lines.
    """
    if kind == "json":
        _check_json_lines(path)
        return
    names = _csv_header(path, delimiter) if kind == "csv" else _parquet_names(path)
    if repeated := alike_but_for_case(names):
        raise UserError(
            f"columns {' and '.join(map(repr, repeated))} have one name in SQL, which does not see case",
            where=path,
            fix="rename all but one of them",
        )
    if len(read) == 1 and any(mark in read[0] for mark in _DELIMITERS):
        raise UserError(
            "cannot be read as csv: its lines do not all have as many fields as the first",
            where=path,
            fix="correct the file",
        )
    strange = [name for name in names if name not in read]
    if strange:
        told = (
            f"{strange[0]!r} is not read as one" if strange[0] else f"column {names.index('') + 1} has none"
        )
        raise UserError(
            f"the first line must name the columns: {told}", where=path, fix="give each column a name there"
        )


def unreadable(error: Exception, kind: str, path: str) -> UserError:
    """DuckDB's refusal of a file as one line."""
    text = str(error)
    if "not utf-8 encoded" in text.lower():
        return UserError(
            f"cannot be read as {kind}: it is not UTF-8 text", where=path, fix="convert it to UTF-8"
        )
    return UserError(f"cannot be read as {kind}: {text.splitlines()[0]}", where=path, fix="correct the file")


def _opened(path: str) -> TextIO:
    opened: Any = gzip.open if path.endswith(".gz") else open
    file: TextIO = opened(path, "rt", encoding="utf-8-sig", newline="")
    return file


def _csv_header(path: str, delimiter: str) -> list[str]:
    with _opened(path) as file:
        return next(csv.reader(file, delimiter=delimiter), [])


def _check_json_lines(path: str) -> None:
    with _opened(path) as file:
        if file.read(1000).lstrip().startswith("["):
            raise UserError(
                "this is a JSON array", where=path, fix="write one object a line, without the array"
            )


def _parquet_names(path: str) -> list[str]:
    from pyarrow import parquet

    names: list[str] = parquet.read_schema(path).names
    return names
