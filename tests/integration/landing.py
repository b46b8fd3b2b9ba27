"""A small use case whose batches are CSV files that a test writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lakeloop.adapters.iceberg.batch_records import IcebergBatchRecords
from lakeloop.adapters.iceberg.chosen_engine import ChosenBatchPublisher
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.range_builder import RangeBuilder
from lakeloop.adapters.in_process.feature_builder import InProcessFeatureBuilder
from lakeloop.adapters.in_process.publisher import InProcessBatchPublisher
from lakeloop.adapters.spark.feature_builder import SparkFeatureBuilder
from lakeloop.adapters.spark.publisher import SparkBatchPublisher
from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.domain.columns_in_use import columns_in_use
from lakeloop.domain.ledger import LedgerEvent, watermark
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.planner import plan_range
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import BatchPublisher
from lakeloop.settings import Settings

HEADER = "id,at,amount,kind,failed"


def rows(first: int, count: int, **changes: Any) -> list[str]:
    """CSV lines; every third one has the label 1. `changes` replaces values of the first line."""
    lines = []
    for i in range(first, first + count):
        values = {
            "id": i,
            "at": f"2025-01-{1 + i // 60 % 28:02d}T00:{i % 60:02d}:00Z",
            "amount": i + 0.5,
            "kind": "ab"[i % 2],
            "failed": int(i % 3 == 0),
        }
        values |= changes if i == first else {}
        lines.append(",".join(str(v) for v in values.values()))
    return lines


@dataclass(frozen=True)
class LakeWithoutSpark:
    """Where a landing works that never asks for a session."""

    settings: Settings
    spark: None = None

    @property
    def lake(self) -> IcebergLake:
        return IcebergLake(self.settings)


@dataclass
class Landing:
    """Publishes files into a fresh table, and builds training sets from it, in the shared session."""

    spark_lake: Any
    namespace: str
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    ledger: list[LedgerEvent] = field(default_factory=list)
    engine: Literal["spark", "local"] = "spark"
    told: list[str] = field(default_factory=list)

    @property
    def use_case(self) -> UseCase:
        document: dict[str, Any] = {
            "name": "pumps",
            "table": {
                "name": f"{self.namespace}.pumps",
                "key": ["id"],
                "event_time": "at",
                "columns": {
                    "id": "long",
                    "at": "timestamp",
                    "amount": "double",
                    "kind": "string",
                    "failed": "int",
                },
            },
            "source": {"kind": "files", "path": "*.csv"},
            "expectations": {"not_null": ["id", "at"], "ranges": {"amount": {"min": 0}}, "unique": ["id"]},
            "label": {"column": "failed"},
            "features": ["amount", "kind", {"name": "ratio", "expression": "1 / (amount - 1.5)"}],
        }
        return UseCase.model_validate_json(json.dumps(_merged(document, self.changes)))

    def batch(self, name: str, lines: list[str], header: str = HEADER) -> Batch:
        path = self.folder / f"{name}.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return Batch(kind="files", batch_id=name, number=1, files=(path.as_uri(),), format="csv")

    def publisher(self) -> BatchPublisher:
        """Of the engine; what the in-process one leaves to Spark, Spark does, as in a pipeline."""
        settings, lake = self.spark_lake.settings, self.spark_lake.lake
        records = IcebergBatchRecords(settings)
        spark = SparkBatchPublisher(settings, lake, records, self.spark_lake.spark)
        if self.engine == "spark":
            return spark
        local = InProcessBatchPublisher(settings, lake, records)
        return ChosenBatchPublisher(settings, lambda _: 1, lambda: local, lambda: spark, self.told.append)

    def publish(self, batch: Batch) -> IngestResult:
        return self.publisher().publish(self.use_case, batch, "test")

    def land(self, name: str, first: int, count: int) -> IngestResult:
        result = self.publish(self.batch(name, rows(first, count)))
        assert result.outcome == "published", result.reason
        return result

    @property
    def state(self) -> Any:
        return self.spark_lake.lake.table_state(self.use_case.table.name)

    def ids(self) -> list[int]:
        if self.state is None or self.state.current_snapshot_id is None:
            return []
        return self.column(self.use_case.table.name, self.state.current_snapshot_id, "id")

    def column(self, table: str, snapshot_id: str, name: str, range_ids: Any = None) -> list[Any]:
        batches = self.spark_lake.lake.read_batches(table, snapshot_id, [name], range_ids)
        return sorted(value for batch in batches for value in batch.column(0).to_pylist())

    def plan(self) -> Plan:
        in_use = partial(columns_in_use, self.use_case)
        return plan_range(self.state, watermark(self.ledger), self.use_case.snapshots, in_use)

    def build(self, plan: Plan | None = None) -> TrainingSet:
        settings, lake = self.spark_lake.settings, self.spark_lake.lake
        builder: RangeBuilder = InProcessFeatureBuilder(settings, lake)
        if self.engine == "spark":
            builder = SparkFeatureBuilder(settings, lake, self.spark_lake.spark)
        return builder.build(self.use_case, plan or self.plan())

    def consume(self, plan: Plan) -> None:
        """The ledger's line after a verdict: the next plan begins where this one ended."""
        event = LedgerEvent(
            event_id=str(len(self.ledger)),
            use_case="pumps",
            kind="promoted",
            at_ms=0,
            by="test",
            reason="test",
            range=plan.range,
            schema_id=plan.schema_id,
            columns=plan.columns,
        )
        self.ledger.append(event)

    def feature_ids(self, training_set: TrainingSet) -> list[int]:
        table, at = training_set.feature_table, training_set.feature_snapshot_id
        return self.column(table, at, "id", training_set.range_ids)


def _merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(document)
    for key, value in changes.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged
