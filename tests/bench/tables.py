"""Tables for the benches, made without a JVM: appends of card_fraud rows, the last one the increment."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lakeloop.adapters.iceberg.catalog import open_catalog
from lakeloop.domain.batch import Plants
from lakeloop.domain.plan import Plan, Watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.rows import Part, generate_rows
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case

CHUNK_ROWS = 500_000


def settings_in(home: Path) -> Settings:
    """The embedded set-up of a bench."""
    return Settings(home=home, spark_master="local[*]")


def bench_use_case(table: str, rounds: int, **train: object) -> UseCase:
    """card_fraud's columns as they are, in a table of its own."""
    document = load_use_case("card_fraud").model_dump(mode="json")
    document["table"]["name"] = table
    document["features"] = [f for f in document["features"] if f["column"]]
    window, holdout = {"policy": "increment"}, {"fraction": 0.2}
    document["train"] = {
        "rounds": rounds,
        "early_stopping_rounds": None,
        "window": window,
        "holdout": holdout,
        **train,
    }
    return UseCase.model_validate(document)


def make_table(settings: Settings, use_case: UseCase, batches: list[int]) -> Plan:
    """Append batches of so many rows; the plan of reading the last one only."""
    catalog = open_catalog(settings)
    namespace, _, _ = use_case.table.name.rpartition(".")
    catalog.create_namespace_if_not_exists(namespace)
    first = _rows(use_case, 0, batches[0])
    table = catalog.create_table(use_case.table.name, schema=first.schema)
    table.append(first)
    for number, rows in enumerate(batches[1:], start=1):
        table.append(_rows(use_case, number, rows))
    snapshots = table.snapshots()
    watermark = Watermark(
        table_uuid=str(table.metadata.table_uuid), snapshot_id=str(snapshots[-2].snapshot_id)
    )
    from lakeloop.adapters.iceberg.lake import IcebergLake

    return plan_range(IcebergLake(settings).table_state(use_case.table.name), watermark, use_case.snapshots)


def _rows(use_case: UseCase, number: int, rows: int) -> pa.Table:
    parts = [
        generate_rows(use_case, Part(number, rows, start, min(CHUNK_ROWS, rows - start), Plants()))
        for start in range(0, rows, CHUNK_ROWS)
    ]
    return pa.concat_tables(parts)
