"""The lake by pyiceberg: metadata, tags and Arrow reads, never a JVM."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.catalog import (
    embedded_metadata_location,
    is_embedded,
    open_catalog,
    place,
    reachable,
)
from lakeloop.adapters.iceberg.detached import FileRows, detached
from lakeloop.adapters.iceberg.difference import file_difference
from lakeloop.adapters.iceberg.equality_deletes import plan_files
from lakeloop.adapters.iceberg.metadata import local_path, read_metadata_file, table_state
from lakeloop.adapters.iceberg.rows import listed, schema_at, select, stream
from lakeloop.adapters.iceberg.v3_metadata import metadata_document
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, TableState
from lakeloop.ports.lake import FileDifference
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

# "For ever": Iceberg's largest age, so that a table's own history.expire.max-ref-age-ms never drops a pin.
FOREVER_MS = 2**63 - 1
PIN_ATTEMPTS = 10
LOOKS = 5


class IcebergLake:
    """Implements `lakeloop.ports.lake.Lake`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog by pyiceberg, opened on first use."""
        return open_catalog(self._settings)

    def table_state(self, table: str) -> TableState | None:
        """Current metadata, or None where the table does not exist.

        In the embedded set-up it costs one SQLite look-up and one JSON file: 5,000 snapshots in a fraction of
        a second, pyiceberg not even imported.

        Raises:
            LakeloopError: the catalog or the metadata file cannot be read.
        """
        if is_embedded(self._settings):
            location = embedded_metadata_location(self._settings, table)
            if location is None:
                return None
            if local_path(location) is not None:
                return self._local_state(table, location)
        loaded = self.find(table)
        if loaded is None:
            return None
        return table_state(table, metadata_document(loaded.metadata))

    def read_batches(
        self,
        table: str,
        snapshot_id: str,
        columns: Sequence[str] | None = None,
        range_ids: Sequence[str] | None = None,
        where: Mapping[str, Sequence[Any]] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows at a snapshot, file by file, with the columns and types of that snapshot's schema.

        At least one batch comes, an empty one where there are no rows, so that the schema is always known.

        Raises:
            LakeloopError: no such table, snapshot or column, or the catalog does not answer.
        """
        loaded = self._load(table)
        schema = schema_at(loaded, snapshot_id)
        selected = select(schema, columns, table)
        wanted = {**(where or {}), **({} if range_ids is None else {RANGE_ID_COLUMN: range_ids})}
        return stream(loaded, int(snapshot_id), selected, listed(loaded, schema, wanted))

    def read_files(
        self,
        table: str,
        snapshot_id: str,
        columns: Sequence[str] | None = None,
        since_snapshot_id: str | None = None,
    ) -> Iterator[tuple[str, Callable[[], Iterator[pa.RecordBatch]]]]:
        """A snapshot's data files, sorted by path, each with its rows.

        Raises:
            LakeloopError: no such table, snapshot or column, or the catalog does not answer.
        """
        from pyiceberg.expressions import AlwaysTrue

        loaded, everything = self._load(table), AlwaysTrue()
        selected, sent = select(schema_at(loaded, snapshot_id), columns, table), detached(loaded)
        known: set[str] = set()
        if since_snapshot_id is not None:
            schema_at(loaded, since_snapshot_id)
            before = plan_files(loaded, int(since_snapshot_id), everything)
            known = {planned.task.file.file_path for planned in before}
        files = {f.task.file.file_path: f for f in plan_files(loaded, int(snapshot_id), everything)}
        for path in sorted(files.keys() - known):
            yield path, FileRows(sent, files[path], selected)

    def difference(
        self, table: str, before: str, after: str, columns: Sequence[str] | None = None
    ) -> FileDifference:
        """Which files the snapshot `after` lacks of those of `before`, and has beyond them.

        Raises:
            LakeloopError: no such table, snapshot or column, or a manifest cannot be read.
        """
        loaded = self._load(table)
        schema_at(loaded, before)
        return file_difference(loaded, before, after, select(schema_at(loaded, after), columns, table))

    def pin(self, table: str, tag: str, snapshot_id: str) -> None:
        """Make `tag` hold the snapshot for ever; the same pin again is a no-op.

        Raises:
            ConflictError: the tag holds another snapshot, or other writers were faster too many times.
            LakeloopError: no such table or snapshot.
        """
        self.pin_all(table, {tag: snapshot_id})

    def pin_all(self, table: str, snapshots: Mapping[str, str]) -> None:
        """Make each tag hold its snapshot for ever, in one commit; tags that do already are left as they are.

        Raises:
            ConflictError: a tag holds another snapshot, or other writers were faster too many times.
            LakeloopError: no such table or snapshot.
        """
        for _ in range(PIN_ATTEMPTS):
            loaded = self._load(table)
            changes: Any = None
            for tag, snapshot_id in snapshots.items():
                held = loaded.metadata.refs.get(tag)
                if held is not None:
                    _same_pin(table, tag, str(held.snapshot_id), snapshot_id)
                    continue
                schema_at(loaded, snapshot_id)
                changes = changes or loaded.manage_snapshots()
                changes = changes.create_tag(int(snapshot_id), tag, FOREVER_MS)
            if changes is None or self._committed(changes):
                return
        raise ConflictError(
            f"the table kept changing while {_named(snapshots)} was set", where=table, fix="try again"
        )

    def unpin(self, table: str, *tags: str) -> None:
        """Remove the tags in one commit; absent ones are a no-op.

        Raises:
            ConflictError: other writers were faster too many times.
            LakeloopError: no such table, or a name is a branch's.
        """
        for _ in range(PIN_ATTEMPTS):
            loaded = self._load(table)
            changes: Any = None
            for tag in tags:
                held = loaded.metadata.refs.get(tag)
                if held is None:
                    continue
                if held.snapshot_ref_type != "tag":
                    raise LakeloopError(f"{tag!r} is a branch, not a pin", where=table, fix="name a tag")
                changes = (changes or loaded.manage_snapshots()).remove_tag(tag)
            if changes is None or self._committed(changes):
                return
        raise ConflictError(
            f"the table kept changing while {_named(tags)} was removed", where=table, fix="try again"
        )

    def find(self, table: str) -> Table | None:
        """The table by pyiceberg, None where there is none."""
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        with reachable(self._settings):
            try:
                return self.catalog.load_table(table)
            except (NoSuchTableError, NoSuchNamespaceError):
                return None

    def _local_state(self, table: str, location: str) -> TableState | None:
        for _ in range(LOOKS):
            try:
                return table_state(table, read_metadata_file(Path(local_path(location) or location)))
            except LakeloopError:
                # A commit may remove older metadata files, also the one that was current a moment ago.
                newer = embedded_metadata_location(self._settings, table)
                if newer is None or newer == location:
                    raise
                location = newer
        raise ConflictError("the table kept changing while it was read", where=table, fix="try again")

    def _load(self, table: str) -> Table:
        loaded = self.find(table)
        if loaded is None:
            raise LakeloopError(
                f"there is no table {table!r}",
                where=place(self._settings),
                fix="land a batch first, or see its name",
            )
        return loaded

    def _committed(self, changes: Any) -> bool:
        from pyiceberg.exceptions import CommitFailedException

        with reachable(self._settings):
            try:
                changes.commit()
            except CommitFailedException:
                return False
            except ValueError as error:
                if "unknown snapshot" not in str(error):
                    raise
                return False  # it has expired since the table was read: the next look tells
        return True


def _named(tags: Collection[str]) -> str:
    first, *others = tags
    return f"{first!r}" + (f" (with {len(others)} others)" if others else "")


def _same_pin(table: str, tag: str, held: str, wanted: str) -> None:
    if held != wanted:
        raise ConflictError(
            f"{tag!r} already holds snapshot {held}, not {wanted}",
            where=table,
            fix="unpin it first, or use another name",
        )
