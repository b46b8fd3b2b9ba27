"""Source files by Arrow's file systems: local, S3 and whatever else a URI can name."""

from __future__ import annotations

import glob
import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from pyarrow import fs

from lakeloop.domain.errors import UserError
from lakeloop.domain.source_files import SourceFile
from lakeloop.domain.use_case import FilesSource
from lakeloop.settings import Settings

_CHUNK_BYTES = 8 * 2**20
_WILDCARDS = re.compile(r"[*?\[]")


class ArrowSourceFolder:
    """Implements `lakeloop.ports.generator.SourceFolder`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def find(self, path: str) -> tuple[SourceFile, ...]:
        """Files that the path or glob names; those that Spark ignores (`.name`, `_name`) are left out."""
        scheme, absolute = _split(path)
        folder = _fixed_folder(absolute)
        try:
            filesystem, base = fs.FileSystem.from_uri(scheme + folder if scheme else folder)
            deep = "**" in absolute or "/" in absolute[len(folder) :].strip("/")
            selector = fs.FileSelector(base, allow_not_found=True, recursive=deep)
            infos = filesystem.get_file_info(selector)
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{error}", where=path, fix="check source.path and the credentials") from error
        wanted = re.compile(_regex(base + absolute[len(folder) :]))
        found = [i for i in infos if i.type == fs.FileType.File and wanted.fullmatch(i.path)]
        files = [_source_file(scheme, i) for i in found if i.base_name[0] not in "._"]
        if not files:
            raise UserError(
                "no file matches", where=f"source.path: {path}", fix="correct the glob or add the file"
            )
        return tuple(sorted(files, key=lambda f: f.uri))

    def sha256(self, file: SourceFile) -> str:
        """Of the file's bytes."""
        digest = hashlib.sha256()
        try:
            filesystem, path = fs.FileSystem.from_uri(file.uri)
            with filesystem.open_input_stream(path, compression=None) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise _unreadable(file, error) from error
        return digest.hexdigest()

    def columns(self, file: SourceFile, source: FilesSource) -> tuple[str, ...]:
        """Column names by header or schema."""
        try:
            return tuple(_columns(file, source))
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(file, error, source.format) from error


def _unreadable(file: SourceFile, error: Exception, format_: str = "") -> UserError:
    reason = str(error).strip().splitlines()[0]
    what = f"cannot be read as {format_}" if format_ else "cannot be read"
    return UserError(
        f"{what}: {reason}", where=file.uri, fix="repair or remove the file, or correct source.format"
    )


def _columns(file: SourceFile, source: FilesSource) -> list[str]:
    filesystem, path = fs.FileSystem.from_uri(file.uri)
    if source.format == "parquet":
        with filesystem.open_input_file(path) as opened:
            return list(pq.ParquetFile(opened).schema_arrow.names)
    with filesystem.open_input_stream(path) as stream:
        if source.format == "json":
            return list(pyarrow.json.open_json(stream).schema.names)
        parse = pyarrow.csv.ParseOptions(delimiter=source.csv_delimiter)
        return list(pyarrow.csv.open_csv(stream, parse_options=parse).schema.names)


def _split(path: str) -> tuple[str, str]:
    scheme, mark, rest = path.partition("://")
    if mark:
        return scheme + mark, rest
    expanded = Path(path).expanduser().as_posix()
    return "", expanded if expanded.startswith("/") else f"{glob.escape(Path.cwd().as_posix())}/{expanded}"


def _fixed_folder(path: str) -> str:
    """The folder above the first segment with a wildcard."""
    segments = path.split("/")
    wild = next((i for i, s in enumerate(segments) if _WILDCARDS.search(s)), len(segments) - 1)
    return "/".join(segments[:wild]) or "/"


def _regex(pattern: str) -> str:
    """`*` and `?` stay inside a path segment, `**` crosses them, `[...]` is one of some characters."""
    out, rest = "", pattern
    while rest:
        for token, regex in (("**/", "(?:.*/)?"), ("**", ".*"), ("*", "[^/]*"), ("?", "[^/]")):
            if rest.startswith(token):
                out, rest = out + regex, rest[len(token) :]
                break
        else:
            one_of = re.match(r"\[(!?)([^]/]+)\]", rest)
            text = one_of[0] if one_of else rest[0]
            out += f"[{'^' if one_of[1] else ''}{re.escape(one_of[2])}]" if one_of else re.escape(text)
            rest = rest[len(text) :]
    return out.replace(r"\-", "-")


def _source_file(scheme: str, info: fs.FileInfo) -> SourceFile:
    uri = f"{scheme}{info.path}" if scheme and scheme != "file://" else Path(info.path).as_uri()
    return SourceFile(uri=uri, size=info.size, mtime_ns=info.mtime_ns)
