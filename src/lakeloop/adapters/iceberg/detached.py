"""Parts of a table that another process can read or write: metadata and storage, without the catalog's credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from lakeloop.adapters.iceberg.equality_deletes import PlannedFile

_STORAGE = ("s3.", "gcs.", "adls.", "hdfs.", "py-io-impl")
_SECRET = ("secret", "key-id", "token", "password", "credential", "account-key", "connection-string")


@dataclass(frozen=True)
class DetachedTable:
    """A table as it was when it was read; whoever opens it has the storage's credentials in its own environment."""

    name: tuple[str, ...]
    metadata: Any
    metadata_location: str
    storage: Mapping[str, str]

    def opened(self) -> Table:
        """The table by pyiceberg, which nothing can be committed to."""
        from pyiceberg.catalog.noop import NoopCatalog
        from pyiceberg.io import load_file_io
        from pyiceberg.table import Table

        io = load_file_io(dict(self.storage), self.metadata_location)
        return Table(self.name, self.metadata, self.metadata_location, io, NoopCatalog(self.name[0]))

    def written(self, rows: pa.Table) -> list[Any]:
        """Data files (of pyiceberg) with the rows, not committed."""
        from pyiceberg.io.pyarrow import _dataframe_to_data_files, schema_to_pyarrow

        table = self.opened()
        schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
        typed = rows.select(schema.names).cast(schema)
        return list(_dataframe_to_data_files(table.metadata, typed, table.io))


def detached(table: Table) -> DetachedTable:
    """Of a table, what can be sent."""
    told = {
        name: value
        for name, value in table.io.properties.items()
        if name.startswith(_STORAGE) and not any(word in name for word in _SECRET)
    }
    history: dict[str, Any] = {
        "snapshots": [],
        "snapshot_log": [],
        "metadata_log": [],
        "refs": {},
        "current_snapshot_id": None,
    }
    metadata = table.metadata.model_copy(
        update=history
    )  # it goes with every file; schemas and specs are enough
    return DetachedTable(table.name(), metadata, table.metadata_location, told)


@dataclass(frozen=True)
class FileRows:
    """A function that can be sent: the rows of one data file, without what its delete files delete."""

    table: DetachedTable
    planned: PlannedFile
    selected: Schema

    def __call__(self) -> Iterator[pa.RecordBatch]:
        """See `rows.stream_files`."""
        from pyiceberg.expressions import AlwaysTrue

        from lakeloop.adapters.iceberg.rows import stream_files

        return stream_files(self.table.opened(), lambda: [self.planned], self.selected, AlwaysTrue())
