"""The run whose classes go into Spark's class archive: the real publisher and feature builder on a throw-away lake.

Usage: `python -m lakeloop.spark_warm_up HOME ARCHIVE JARS_FOLDER`; started by `lakeloop.adapters.spark.class_archive`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lakeloop.adapters.iceberg.batch_records import IcebergBatchRecords
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.spark.feature_builder import SparkFeatureBuilder
from lakeloop.adapters.spark.publisher import SparkBatchPublisher
from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.batch import Batch
from lakeloop.domain.planner import plan_range
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

_JVM_END_TIMEOUT_SECONDS = 120
_ROWS = 200
_USE_CASE: dict[str, Any] = {
    "name": "warm_up",
    "table": {
        "name": "warm.up",
        "key": ["id"],
        "event_time": "at",
        "columns": {
            "id": "long",
            "at": "timestamp",
            "amount": "double",
            "kind": "string",
            "small": "int",
            "label": "int",
        },
        "partition_by": [],
    },
    "source": {"kind": "files", "path": "*", "format": "csv"},
    "expectations": {
        "not_null": ["id", "at", "label"],
        "max_null_fraction": {"amount": 0.5},
        "ranges": {"amount": {"min": 0, "max": 1e9}},
        "allowed": {"kind": ["a", "b"]},
        "unique": ["id"],
        "label_rate": {"min": 0.01, "max": 0.99},
    },
    "label": {"column": "label"},
    "features": [
        "amount",
        "small",
        "kind",
        {"name": "f", "expression": "ln(amount + 1) * CASE WHEN small > 3 THEN 1.5 ELSE 0 END"},
    ],
}


def main() -> None:
    """Publish three batches and build two training sets, then end the JVM, which writes the archive."""
    home, archive, jars_folder = map(Path, sys.argv[1:4])
    settings = Settings(home=home, spark_master="local[2]", spark_jars_folder=jars_folder, spark_conf={})
    use_case = UseCase.model_validate(_USE_CASE)
    lake = IcebergLake(settings)
    with spark_session(settings, "warm up", rows=_ROWS, archive_to=archive) as spark:
        publisher = SparkBatchPublisher(settings, lake, IcebergBatchRecords(settings), spark)
        builder = SparkFeatureBuilder(settings, lake, spark)
        for number, format_ in enumerate(("csv", "parquet", "parquet")):
            result = publisher.publish(use_case, _batch(home, number, format_), "warm-up")
            if result.outcome != "published":
                raise SystemExit(result.reason)
            if number != 1:
                builder.build(use_case, plan_range(lake.table_state("warm.up"), None, use_case.snapshots))
    _end_jvm()


def _batch(home: Path, number: int, format_: str) -> Batch:
    import pyarrow as pa
    from pyarrow import csv, parquet

    ids = [number * _ROWS + i for i in range(_ROWS)]
    table = pa.table(
        {
            "id": ids,
            "at": pa.array([i * 1_000_000 for i in ids], pa.timestamp("us", "UTC")),
            "amount": [i + 0.5 for i in ids],
            "kind": ["ab"[i % 2] for i in ids],
            "small": pa.array([i % 7 for i in ids], pa.int32()),
            "label": pa.array([int(i % 3 == 0) for i in ids], pa.int32()),
        }
    )
    path = home / f"{number}.{format_}"
    home.mkdir(parents=True, exist_ok=True)
    if format_ == "csv":
        csv.write_csv(table, path)
        return Batch(kind="files", batch_id=f"b{number}", number=number, files=(path.as_uri(),), format="csv")
    parquet.write_table(table, path)
    return Batch(kind="files", batch_id=f"b{number}", number=number, files=(path.as_uri(),))


def _end_jvm() -> None:
    """The JVM writes the archive when it ends, and it ends when its standard input does."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway  # noqa: SLF001 - pyspark has no public way to end its JVM
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=_JVM_END_TIMEOUT_SECONDS)


if __name__ == "__main__":
    main()
