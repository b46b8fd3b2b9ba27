"""(b) Reading and training on the same increment, with 1x and with 50x its rows as history."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.train_model import core
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.spark.feature_builder import SparkFeatureBuilder
from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.feature_rows import layout_of
from lakeloop.domain.plan import Plan
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings
from tests.bench.measured import Ratio
from tests.bench.tables import bench_use_case, make_table, settings_in

GOAL = 1.2
INCREMENT_ROWS = 20_000
ROUNDS = 100
REPEATS = 5


def measure(folder: Path, *, rows: int, tell: Callable[[str], None]) -> list[Ratio]:
    """The bench: one warm session, the two tables in turn, medians."""
    settings = settings_in(folder)
    made: dict[int, tuple[UseCase, Plan]] = {}
    for history in (1, 50):
        tell(f"history: {history} x {INCREMENT_ROWS} rows of history")
        use_case = bench_use_case(f"h{history}.transactions", ROUNDS)
        made[history] = use_case, make_table(settings, use_case, [INCREMENT_ROWS] * (history + 1))
    seconds: dict[int, list[float]] = {1: [], 50: []}
    with spark_session(settings, "bench", rows=INCREMENT_ROWS) as spark:
        for repeat in range(REPEATS + 1):
            for history, (use_case, plan) in made.items():
                taken = _read_and_train(settings, spark, use_case, plan)
                if repeat:  # the first round warms the JVM
                    seconds[history].append(taken)
    short, long = statistics.median(seconds[1]), statistics.median(seconds[50])
    detail = (
        f"{long:.2f} s over {short:.2f} s; {INCREMENT_ROWS} rows read and trained on, medians of {REPEATS}"
    )
    return [Ratio("b. 50x history over 1x", long / short, f"<= {GOAL}", long / short <= GOAL, detail)]


def _read_and_train(settings: Settings, spark: Any, use_case: UseCase, plan: Plan) -> float:
    lake = IcebergLake(settings)
    started = time.monotonic()
    training_set = SparkFeatureBuilder(settings, lake, spark).build(use_case, plan)
    batches = lake.read_batches(
        training_set.feature_table,
        training_set.feature_snapshot_id,
        columns=layout_of(use_case, training_set).columns,
        range_ids=training_set.range_ids,
    )
    core.train(use_case, training_set, batches, raw_columns={})
    seconds = time.monotonic() - started
    spark.sql(f"DROP TABLE {settings.catalog_name}.{training_set.feature_table} PURGE")
    return seconds
