"""(d) A cold `lakeloop plan` over a table with 5,000 snapshots, all of them new since the last training."""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.settings import Settings
from tests.bench.measured import Ratio, run_measured

SNAPSHOTS = 5000
GOAL_SECONDS = 3.0
REPEATS = 3
TABLE = "bench.events"
USE_CASE: dict[str, Any] = {
    "name": "events",
    "table": {"name": TABLE, "key": ["id"], "event_time": "at"},
    "source": {"kind": "table"},
    "label": {"column": "y"},
    "features": ["x"],
}


def measure(folder: Path, *, rows: int, tell: Callable[[str], None]) -> list[Ratio]:
    """Median wall time of the command, its own start included."""
    tell(f"planning: {SNAPSHOTS} snapshots")
    settings = Settings(home=folder / "home")
    lake = IcebergLake(settings)
    lake.catalog.create_namespace("bench")
    one = pa.table(
        {"id": [1, 2], "at": pa.array([datetime(2025, 1, 1, tzinfo=UTC)] * 2), "x": [0.5, 1.5], "y": [0, 1]}
    )
    lake.catalog.create_table(TABLE, one.schema).append(one)
    lengthen(settings, lake, TABLE, SNAPSHOTS)
    file = folder / "events.yaml"
    file.write_text(json.dumps(USE_CASE), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "lakeloop.cli", "plan", str(file), "--json"]
    taken = [run_measured(command, {"LAKELOOP_HOME": str(settings.home)}) for _ in range(REPEATS)]
    seconds = statistics.median(one.seconds for one in taken)
    detail = f"{seconds:.2f} s of the allowed {GOAL_SECONDS:g} s; cold process, median of {REPEATS}"
    return [
        Ratio("d. plan over 5,000 snapshots", seconds / GOAL_SECONDS, "<= 1", seconds <= GOAL_SECONDS, detail)
    ]


def lengthen(settings: Settings, lake: IcebergLake, name: str, snapshots: int) -> None:
    """More appends than one can wait for, written into the metadata of a table with one as Iceberg would."""
    table = lake.find(name)
    assert table is not None
    metadata = json.loads(table.metadata.model_dump_json(by_alias=True))
    model = metadata["snapshots"][0]
    for n in range(1, snapshots):
        parent = metadata["snapshots"][-1]["snapshot-id"]
        number = {
            "snapshot-id": model["snapshot-id"] - n,
            "parent-snapshot-id": parent,
            "sequence-number": n + 1,
        }
        metadata["snapshots"].append({**model, **number})
    metadata["current-snapshot-id"] = metadata["snapshots"][-1]["snapshot-id"]
    path = settings.root / "longer.metadata.json"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    with sqlite3.connect(settings.embedded_catalog_path) as catalog:
        named = (path.as_uri(), name.rpartition(".")[2])
        catalog.execute("UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?", named)
    catalog.close()
