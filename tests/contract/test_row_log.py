"""One suite for every RowLog."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.memory.row_log import MemoryRowLog
from lakeloop.ports.row_log import RowLog
from lakeloop.settings import Settings

TABLE = "predictions.card_fraud"


@pytest.fixture(params=["iceberg", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> RowLog:
    return MemoryRowLog() if request.param == "memory" else IcebergRowLog(Settings(home=tmp_path))


def piece(name: str, rows: int = 2) -> pa.Table:
    return pa.table({"n": pa.array(range(rows), pa.int64()), "_piece_id": [name] * rows})


def held(log: RowLog) -> list[tuple[str, int]]:
    rows = log.rows(TABLE)
    assert rows is not None
    return sorted((row["_piece_id"], row["n"]) for row in rows.to_pylist())


def test_a_piece_comes_in_once_however_often_it_is_appended(log: RowLog) -> None:
    assert log.rows(TABLE) is None
    assert log.held(TABLE, ["a"]) == frozenset()
    assert log.append(TABLE, piece("a")) == ("a",)
    assert log.append(TABLE, piece("a")) == ()
    assert log.append(TABLE, pa.concat_tables([piece("a"), piece("b", 1)])) == ("b",)
    assert held(log) == [("a", 0), ("a", 1), ("b", 0)]
    assert log.held(TABLE, ["a", "b", "c"]) == {"a", "b"}


def test_writers_at_once_append_each_piece_once(tmp_path: Path) -> None:
    IcebergRowLog(Settings(home=tmp_path)).append(TABLE, piece("first"))

    def append(number: int) -> int:
        return len(IcebergRowLog(Settings(home=tmp_path)).append(TABLE, piece(f"p{number // 2}", 1)))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(append, range(8))) == 4
    assert [p for p, _ in held(IcebergRowLog(Settings(home=tmp_path)))] == [
        "first",
        "first",
        "p0",
        "p1",
        "p2",
        "p3",
    ]


def test_a_piece_is_found_after_its_snapshot_expired(tmp_path: Path) -> None:
    log = IcebergRowLog(Settings(home=tmp_path))
    log.append(TABLE, piece("a"))
    log.append(TABLE, piece("b"))
    table = IcebergLake(Settings(home=tmp_path)).find(TABLE)
    assert table is not None
    table.maintenance.expire_snapshots().by_id(table.snapshots()[0].snapshot_id).commit()
    assert log.append(TABLE, piece("a")) == ()
    assert len(held(log)) == 4
