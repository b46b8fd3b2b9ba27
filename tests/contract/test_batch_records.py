"""One suite for every BatchRecords."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeloop.adapters.iceberg.batch_records import IcebergBatchRecords
from lakeloop.adapters.memory.batch_records import MemoryBatchRecords
from lakeloop.domain.published_batches import BatchRecord
from lakeloop.domain.source_files import SourceFile
from lakeloop.ports.batch_records import BatchRecords
from lakeloop.settings import Settings


@pytest.fixture(params=["iceberg", "memory"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> BatchRecords:
    return MemoryBatchRecords() if request.param == "memory" else IcebergBatchRecords(Settings(home=tmp_path))


def record(batch_id: str, at: int, uuid: str = "u") -> BatchRecord:
    return BatchRecord(
        table_uuid=uuid,
        batch_id=batch_id,
        snapshot_id="3051729675574597004",
        parent_id=None,
        sequence_number=at,
        published_at_ms=at,
        number=None if at == 2 else at,
        rows=7,
        source_files=(SourceFile(uri="file:///in/ñ.csv", size=3, mtime_ns=2**60 + 1, sha256="ab"),),
    )


def test_records_come_back_whole_oldest_first_and_each_once(records: BatchRecords) -> None:
    assert records.of("u") == ()
    records.keep([record("b", 2), record("a", 1), record("c", 3, "other")])
    records.keep([record("b", 2), record("d", 4)])
    assert records.of("u") == (record("a", 1), record("b", 2), record("d", 4))
    assert records.of("other") == (record("c", 3, "other"),)


def test_keeping_nothing_makes_nothing(records: BatchRecords) -> None:
    records.keep([])
    assert records.of("u") == ()
