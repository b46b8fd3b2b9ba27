"""Folders below a URI, on any file system that Arrow knows."""

from __future__ import annotations

from urllib.parse import unquote

from pyarrow import fs

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.tidying import StoredFolder


class ArrowFolderKeeper:
    """Implements `lakeloop.ports.housekeeping.FolderKeeper`."""

    def folders(self, uri: str) -> tuple[StoredFolder, ...]:
        """Folders right below, by name; an empty one counts as new.

        Raises:
            LakeloopError: the place cannot be read.
        """
        try:
            filesystem, root = fs.FileSystem.from_uri(uri)
            below = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True))
            found = [self._folder(filesystem, i) for i in below if i.type == fs.FileType.Directory]
        except (OSError, ValueError) as error:
            raise LakeloopError(
                f"cannot be listed: {error}", where=uri, fix="see whether it answers"
            ) from error
        return tuple(sorted((f for f in found if f is not None), key=lambda f: f.name))

    def remove(self, uri: str, name: str) -> bool:
        """Remove one of them with all it holds; False where it is gone.

        Raises:
            LakeloopError: it is no name of a folder right below, or cannot be removed.
        """
        if name in {"", ".", ".."} or "/" in name:
            raise LakeloopError(f"{name!r} is no folder right below", where=uri)
        try:
            filesystem, root = fs.FileSystem.from_uri(uri)
            filesystem.delete_dir(f"{root}/{name}")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise LakeloopError(f"{name!r} cannot be removed: {error}", where=uri) from error
        return True

    def _folder(self, filesystem: fs.FileSystem, info: fs.FileInfo) -> StoredFolder | None:
        inside = filesystem.get_file_info(fs.FileSelector(info.path, recursive=True, allow_not_found=True))
        files = [i for i in inside if i.type == fs.FileType.File]
        if not files:
            return None
        newest_ns = max(i.mtime_ns or 0 for i in files)
        return StoredFolder(
            name=info.base_name, modified_ms=newest_ns // 1_000_000, bytes=sum(i.size or 0 for i in files)
        )


def run_id_of(folder_name: str) -> str:
    """The pipeline run id behind a folder of the journal."""
    return unquote(folder_name)
