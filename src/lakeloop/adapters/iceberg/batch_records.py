"""Records of published batches as an Iceberg table: a row a publication."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lakeloop.adapters.iceberg.catalog import reachable
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.published_batches import BatchRecord
from lakeloop.domain.source_files import parse_source_files, source_files_property
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

BATCHES_TABLE = "lakeloop.batches"
KEEP_ATTEMPTS = 10


class IcebergBatchRecords:
    """Implements `lakeloop.ports.batch_records.BatchRecords`.

    Two writers may keep the same record at once: readers take a publication once, so that needs no lock.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lake = IcebergLake(settings)

    def keep(self, records: Sequence[BatchRecord]) -> None:
        """Durable on return; what is there already is not written again.

        Raises:
            ConflictError: other writers were faster too many times.
            LakeloopError: the catalog does not answer.
        """
        from pyiceberg.exceptions import CommitFailedException

        known = {_identity(r) for uuid in {r.table_uuid for r in records} for r in self.of(uuid)}
        fresh = [r for r in records if _identity(r) not in known]
        for _ in range(KEEP_ATTEMPTS if fresh else 0):
            table = self._table()
            with reachable(self._settings):
                try:
                    table.append(_rows(fresh))
                except CommitFailedException:
                    continue
            return
        if fresh:
            raise ConflictError(
                f"{len(fresh)} records were not kept: {KEEP_ATTEMPTS} times another writer was faster",
                where=BATCHES_TABLE,
                fix="run the step again",
            )

    def of(self, table_uuid: str) -> tuple[BatchRecord, ...]:
        """All kept records of a table, oldest publication first; without a table of records it costs a look-up.

        Raises:
            LakeloopError: the catalog does not answer, or the records cannot be read.
        """
        state = self._lake.table_state(BATCHES_TABLE)
        if state is None or state.current_snapshot_id is None:
            return ()
        batches = self._lake.read_batches(
            BATCHES_TABLE, state.current_snapshot_id, where={"table_uuid": [table_uuid]}
        )
        found = [_record(row) for batch in batches for row in batch.to_pylist()]
        once = {_identity(r): r for r in found}
        return tuple(sorted(once.values(), key=lambda r: (r.published_at_ms, r.batch_id)))

    def _table(self) -> Table:
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

        found = self._lake.find(BATCHES_TABLE)
        if found is not None:
            return found
        namespace = BATCHES_TABLE.partition(".")[0]
        with reachable(self._settings):
            if not self._lake.catalog.namespace_exists(namespace):
                with suppress(NamespaceAlreadyExistsError):
                    self._lake.catalog.create_namespace(namespace)
            try:
                return self._lake.catalog.create_table(BATCHES_TABLE, _schema())
            except TableAlreadyExistsError:
                return self._lake.catalog.load_table(BATCHES_TABLE)


def _identity(record: BatchRecord) -> tuple[str, str, str]:
    return record.table_uuid, record.batch_id, record.snapshot_id


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema(
        [
            ("table_uuid", text),
            ("batch_id", text),
            ("snapshot_id", text),
            ("parent_id", text),
            ("sequence_number", number),
            ("published_at_ms", number),
            ("number", number),
            ("rows", number),
            ("source_files", text),
        ]
    )


def _rows(records: Sequence[BatchRecord]) -> pa.Table:
    import pyarrow as pa

    values = [{**r.model_dump(), "source_files": source_files_property(r.source_files)} for r in records]
    return pa.Table.from_pylist(values, schema=_schema())


def _record(row: dict[str, object]) -> BatchRecord:
    return BatchRecord.model_validate({**row, "source_files": parse_source_files(str(row["source_files"]))})
