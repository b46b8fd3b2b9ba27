"""Tidying tables by pyiceberg."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.serializers import FromInputFile

from lakeloop.adapters.iceberg.catalog import reachable as catalog_reachable
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.metadata import table_state
from lakeloop.adapters.iceberg.v3_metadata import metadata_document
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.snapshots import TableState
from lakeloop.domain.tidying import StoredFile, TableFiles, reachable
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyiceberg.table import Table

ATTEMPTS = 10
MOST_TABLES = 2000
_ELSEWHERE = ("write.data.path", "write.object-storage.path", "write.folder-storage.path")
_METADATA_SUFFIX = ".metadata.json"


class IcebergTableKeeper:
    """Implements `lakeloop.ports.housekeeping.TableKeeper`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lake = IcebergLake(settings)

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Names of a namespace's tables.

        Raises:
            LakeloopError: the catalog does not answer.
        """
        with catalog_reachable(self._settings), suppress(NoSuchNamespaceError):
            return tuple(sorted(".".join(t) for t in self._lake.catalog.list_tables(namespace)))
        return ()

    def state_before(self, table: str, at_ms: int) -> TableState | None:
        """The metadata as it was at a time, by the metadata log.

        Raises:
            LakeloopError: the catalog does not answer.
        """
        loaded = self._lake.find(table)
        if loaded is None:
            return None
        if loaded.metadata.last_updated_ms <= at_ms:
            return _state(table, loaded.metadata)
        log = [(e.timestamp_ms, e.metadata_file) for e in loaded.metadata.metadata_log]
        before = [file for then_ms, file in log if then_ms <= at_ms]
        if not before:
            return None
        try:
            return _state(table, FromInputFile.table_metadata(loaded.io.new_input(before[-1])))
        except (OSError, ValueError):
            return None  # removed since: what it said is not known any more

    def files(self, table: str) -> TableFiles:
        """The table's data folder, listed before its metadata is read.

        Raises:
            LakeloopError: the catalog or the storage does not answer.
        """
        loaded = self._lake.find(table)
        obstacle = "there is no such table" if loaded is None else self._obstacle(loaded)
        if loaded is None or obstacle:
            return TableFiles(table=table, obstacle=obstacle)
        try:
            stored = tuple(_stored(loaded))
            if any(f.path.endswith(_METADATA_SUFFIX) for f in stored):
                return TableFiles(table=table, obstacle="another table lies in its data folder")
            named, live = _referenced(loaded.refresh())
            return TableFiles(table=table, stored=stored, referenced=named, live=live)
        except OSError as error:
            raise LakeloopError(f"its files cannot be read: {error}", where=table) from error

    def drop_branch(self, table: str, branch: str, snapshot_id: str) -> bool:
        """Remove a branch that still points there; the commit asserts it.

        Raises:
            LakeloopError: the catalog does not answer.
        """
        for _ in range(ATTEMPTS):
            loaded = self._lake.find(table)
            ref = loaded.metadata.refs.get(branch) if loaded else None
            if loaded is None or ref is None or str(ref.snapshot_id) != snapshot_id or branch == "main":
                return False
            with catalog_reachable(self._settings), suppress(CommitFailedException):
                loaded.manage_snapshots().remove_branch(branch).commit()
                return True
        return False

    def expire(self, table: str, snapshot_ids: Sequence[str]) -> int:
        """Forget snapshots that no ref reaches; how many went.

        Raises:
            LakeloopError: the catalog does not answer.
        """
        for _ in range(ATTEMPTS):
            loaded = self._lake.find(table)
            if loaded is None:
                return 0
            held, known = reachable(_state(table, loaded.metadata)), set(map(str, _ids(loaded)))
            going = [int(s) for s in snapshot_ids if s not in held and s in known]
            if not going:
                return 0
            with catalog_reachable(self._settings), suppress(CommitFailedException):
                loaded.maintenance.expire_snapshots().by_ids(going).commit()
                return len(going)
        return 0

    def delete_files(self, table: str, paths: Sequence[str]) -> int:
        """Delete files of the data folder that still nothing names; how many went.

        Raises:
            LakeloopError: the catalog or the storage does not answer.
        """
        now = self.files(table)
        loaded = self._lake.find(table)
        if now.obstacle or loaded is None:
            return 0
        stored = {f.path for f in now.stored}
        going = [p for p in paths if p in stored and p not in now.referenced]
        filesystem, _ = _data_folder(loaded)
        for path in going:
            with suppress(FileNotFoundError):
                filesystem.delete_file(path)
        return len(going)

    def purge(self, table: str, table_uuid: str) -> bool:
        """Drop a table with its files; False where it is gone or another one by now.

        Raises:
            LakeloopError: the catalog does not answer.
        """
        loaded = self._lake.find(table)
        if loaded is None or str(loaded.metadata.table_uuid) != table_uuid:
            return False
        with catalog_reachable(self._settings), suppress(NoSuchTableError):
            self._lake.catalog.purge_table(table)
            return True
        return False

    def _obstacle(self, table: Table) -> str | None:
        """Why a file that this table does not name may still be somebody's."""
        if not isinstance(table.io, PyArrowFileIO):
            return "its storage cannot be listed with Arrow"
        if any(table.properties.get(name) for name in _ELSEWHERE):
            return f"its data lies elsewhere ({', '.join(n for n in _ELSEWHERE if n in table.properties)})"
        mine = _path(table.location())
        names = list(self._all_tables())
        if len(names) > MOST_TABLES:
            return f"the catalog has more than {MOST_TABLES} tables to compare with"
        for name in names:
            other = None if name == ".".join(table.name()) else self._lake.find(name)
            if other is not None and _overlap(mine, _path(other.location())):
                return f"table {name} lies at the same place"
        return None

    def _all_tables(self) -> Iterator[str]:
        with catalog_reachable(self._settings):
            waiting = list(self._lake.catalog.list_namespaces())
            seen = set(waiting)
            while waiting:
                namespace = waiting.pop()
                yield from (".".join(t) for t in self._lake.catalog.list_tables(namespace))
                with suppress(NoSuchNamespaceError, NoSuchTableError):
                    below = set(self._lake.catalog.list_namespaces(namespace)) - seen
                    waiting += below
                    seen |= below


def _state(table: str, metadata: Any) -> TableState:
    return table_state(table, metadata_document(metadata))


def _ids(table: Table) -> list[int]:
    return [s.snapshot_id for s in table.metadata.snapshots]


def _path(location: str) -> str:
    """What Arrow's file systems call a location: without scheme, and with the bucket in front."""
    path: str = PyArrowFileIO.parse_location(location)[2]
    return path.rstrip("/")


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _data_folder(table: Table) -> tuple[FileSystem, str]:
    scheme, netloc, path = PyArrowFileIO.parse_location(f"{table.location().rstrip('/')}/data")
    io: Any = table.io
    return io.fs_by_scheme(scheme, netloc), path


def _stored(table: Table) -> Iterator[StoredFile]:
    from pyarrow import fs

    filesystem, folder = _data_folder(table)
    for info in filesystem.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True)):
        if info.type == fs.FileType.File:
            yield StoredFile(
                path=info.path, size=info.size or 0, modified_ms=(info.mtime_ns or 0) // 1_000_000
            )


def _referenced(table: Table) -> tuple[frozenset[str], frozenset[str]]:
    """Files below the data folder that any snapshot's manifests name, and those of them that are not deleted."""
    manifests = {m.manifest_path: m for s in table.metadata.snapshots for m in s.manifests(table.io)}
    folder = f"{_data_folder(table)[1]}/"
    named, live = set[str](), set[str]()
    for manifest in manifests.values():
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            path = _path(entry.data_file.file_path)
            if path.startswith(folder):
                named.add(path)
                if entry.status != ManifestEntryStatus.DELETED:
                    live.add(path)
    return frozenset(named), frozenset(live)
