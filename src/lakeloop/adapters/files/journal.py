"""The run journal as files: one JSON document a name, below one folder a run."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pyarrow import fs

from lakeloop.domain.errors import LakeloopError

_SUFFIX = ".json"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


class FileJournal:
    """Implements `lakeloop.ports.journal.RunJournal` on any file system that Arrow knows.

    A local document appears whole, by a rename; object stores write whole objects anyway.

    Args:
        uri: folder of the journal, e.g. `file:///.../journal` or `s3://bucket/journal`.
    """

    def __init__(self, uri: str) -> None:
        self._filesystem, self._root = fs.FileSystem.from_uri(uri)

    def record(self, pipeline_run_id: str, name: str, document: Any) -> None:
        """Keep a document (a frozen value's `model_dump(mode="json")`), atomically.

        Raises:
            LakeloopError: the name cannot be a file's, or the folder cannot be written.
        """
        if not _NAME.match(name):
            raise LakeloopError(f"{name!r} is no name of a document", where="run journal")
        folder = self._folder(pipeline_run_id)
        content = json.dumps(document, indent=2, ensure_ascii=False).encode()
        try:
            self._filesystem.create_dir(folder, recursive=True)
            self._write(f"{folder}/{name}{_SUFFIX}", content)
        except OSError as error:
            raise LakeloopError(
                f"document {name!r} was not kept: {error}", where=folder, fix="see LAKELOOP_JOURNAL_URI"
            ) from error

    def documents(self, pipeline_run_id: str) -> dict[str, Any]:
        """All documents of a run, by name; empty for a run that recorded none."""
        files = self._listed(self._folder(pipeline_run_id), fs.FileType.File)
        found = sorted((f for f in files if f.base_name.endswith(_SUFFIX)), key=lambda f: f.base_name)
        return {f.base_name.removesuffix(_SUFFIX): self._read(f.path) for f in found}

    def runs(self) -> list[str]:
        """Pipeline run ids, oldest first, by their first document."""
        folders = self._listed(self._root, fs.FileType.Directory)
        return [unquote(f.base_name) for f in sorted(folders, key=lambda f: (self._started(f), f.base_name))]

    def _folder(self, pipeline_run_id: str) -> str:
        return f"{self._root}/{quote(pipeline_run_id, safe='')}"

    def _listed(self, folder: str, kind: fs.FileType) -> list[fs.FileInfo]:
        selector = fs.FileSelector(folder, allow_not_found=True)
        return [info for info in self._filesystem.get_file_info(selector) if info.type == kind]

    def _started(self, folder: fs.FileInfo) -> int:
        return min((f.mtime_ns or 0 for f in self._listed(folder.path, fs.FileType.File)), default=0)

    def _read(self, path: str) -> Any:
        with self._filesystem.open_input_stream(path) as stream:
            return json.loads(stream.read())

    def _write(self, path: str, content: bytes) -> None:
        if not isinstance(self._filesystem, fs.LocalFileSystem):
            with self._filesystem.open_output_stream(path) as stream:
                stream.write(content)
            return
        target = Path(path)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
