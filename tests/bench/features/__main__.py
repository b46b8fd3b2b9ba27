"""`make bench-features`: seconds of six ways to the same features, each run several times; all must agree.

Parts can be run alone: `python -m tests.bench.features --rows 100000 pandas duckdb`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lakeloop.domain.use_case import Window
from lakeloop.generation.rows import Part, generate_rows
from lakeloop.use_case_files import load_use_case
from tests.bench.features import ways
from tests.bench.measured import cores, cpu_seconds_of_tree, memory_gib

IN_PROCESS: dict[str, Callable[[Path], pa.Table]] = {
    "pandas": ways.pandas_group_by_group,
    "duckdb": ways.duckdb_query,
    "polars": ways.polars_query,
    "lakeloop": ways.lakeloop_in_process,
}
ON_SPARK = ("challenge", "lakeloop-spark")
INCREMENT, TEN, STEP = "increment", "rows-x10", "step"
PARTS = (*IN_PROCESS, *ON_SPARK, INCREMENT, TEN, STEP)
REPEATS = {"pandas": 1, "challenge": 3, "lakeloop-spark": 5}
INCREMENT_SHARE = 0.01
WARM_UPS = 2
PAIRS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.features", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--rows", type=int, default=777_715)
    given = parser.parse_args()
    parts = set(given.parts or PARTS)
    with tempfile.TemporaryDirectory(prefix="lakeloop-bench-features-") as folder:
        found = measure(Path(folder), given.rows, parts)
    print(json.dumps(found, indent=1))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {given.rows} loans, {cores()} cores, {memory_gib():.0f} GiB, "
        f"Python {platform.python_version()}"
    )


def measure(folder: Path, rows: int, parts: set[str]) -> dict[str, Any]:
    """Median seconds a part; raises where two ways differ."""
    file = loans(folder / "loans.parquet", rows)
    found: dict[str, Any] = {}
    wanted: pa.Table | None = None
    for name, way in IN_PROCESS.items():
        if name in parts:
            found[name], table = timed(lambda way=way: way(file), REPEATS.get(name, 5))
            wanted = agree(name, table, wanted)
    if INCREMENT in parts:
        found |= increments(folder, rows)
    if STEP in parts:
        found |= steps(folder, rows)
    if TEN in parts:
        ten = loans(folder / "ten.parquet", 10 * rows)
        found[TEN] = in_turn(lambda: ways.lakeloop_in_process(file), lambda: ways.lakeloop_in_process(ten))
        found[f"{TEN} duckdb"] = in_turn(lambda: ways.duckdb_query(file), lambda: ways.duckdb_query(ten))
    if parts & set(ON_SPARK):
        found |= on_spark(folder, file, parts, rows, wanted)
    return found


def increments(folder: Path, rows: int) -> dict[str, Any]:
    """The last 1 % of the rows against all of them, in process."""
    before, new = halves(folder, rows)
    seconds, part = timed(lambda: ways.lakeloop_in_process_increment(before, new), 5)
    whole = ways.lakeloop_in_process(folder / "loans.parquet")
    keep = pa.compute.is_in(whole.column("loan_id"), part.column("loan_id"))
    agree("increment", part, whole.filter(keep))
    return {INCREMENT: seconds, "increment rows": part.num_rows}


def steps(folder: Path, rows: int) -> dict[str, Any]:
    """As the step does it, Iceberg to Iceberg: the first range with 99 % of the rows, then the increment."""
    from lakeloop.adapters.iceberg.lake import IcebergLake
    from lakeloop.adapters.in_process.feature_builder import InProcessFeatureBuilder
    from lakeloop.domain.plan import Watermark
    from lakeloop.domain.planner import plan_range
    from lakeloop.settings import Settings

    settings, use_case = Settings(home=folder / "step"), load_use_case("loans")
    use_case = use_case.model_copy(update={"train": use_case.train.model_copy(update={"window": Window()})})
    lake, builder = IcebergLake(settings), InProcessFeatureBuilder(settings, IcebergLake(settings))
    before, new = halves(folder, rows)
    lake.catalog.create_namespace("bank")
    table = lake.catalog.create_table(use_case.table.name, parquet.read_schema(before))
    found: dict[str, Any] = {}
    watermark: Watermark | None = None
    for name, file in (("step, whole", before), ("step, increment", new)):
        table.append(parquet.read_table(file))
        state = lake.table_state(use_case.table.name)
        plan = plan_range(state, watermark, use_case.snapshots)
        found[name], _ = timed(lambda plan=plan: builder.build(use_case, plan), 1)
        watermark = Watermark(
            table_uuid=state.table_uuid, snapshot_id=state.current_snapshot_id, columns=plan.columns
        )
    return found


def on_spark(folder: Path, file: Path, parts: set[str], rows: int, wanted: pa.Table | None) -> dict[str, Any]:
    """Both ways in one warm session: each is run twice before it is timed, so that its code is compiled."""
    from lakeloop.adapters.spark.session import spark_session
    from lakeloop.settings import Settings

    found: dict[str, Any] = {}
    settings = Settings(home=folder / "home", spark_master=f"local[{cores()}]")
    with spark_session(settings, "bench", rows=rows) as spark:
        spark.conf.set("spark.sql.ansi.enabled", "false")
        ways_: dict[str, Callable[[], Path]] = {
            "challenge": lambda: ways.spark_job_a_feature(spark, file, folder / "challenge"),
            "lakeloop-spark": lambda: ways.lakeloop_on_spark(spark, file, folder / "one"),
        }
        for name, way in ways_.items():
            if name in parts:
                for _ in range(WARM_UPS):
                    way()
                found[name], out = timed(way, REPEATS.get(name, 3))
                agree(name, parquet.read_table(out), wanted)
        if "lakeloop-spark" in parts:
            before, new = halves(folder, rows)
            found["increment lakeloop-spark"], _ = timed(
                lambda: ways.lakeloop_on_spark(spark, before, folder / "increment", new), 3
            )
    return found


def loans(file: Path, rows: int) -> Path:
    """So many loans of one batch as one Parquet file."""
    use_case, step = load_use_case("loans"), 1 << 19
    with parquet.ParquetWriter(file, generate_rows(use_case, Part(1, rows, 0, 1)).schema) as writer:
        for start in range(0, rows, step):
            writer.write_table(generate_rows(use_case, Part(1, rows, start, min(step, rows - start))))
    return file


def halves(folder: Path, rows: int) -> tuple[Path, Path]:
    """The loans before the newest 1 %, and those."""
    table, new = parquet.read_table(folder / "loans.parquet"), max(1, round(rows * INCREMENT_SHARE))
    parquet.write_table(table.slice(0, rows - new), folder / "before.parquet")
    parquet.write_table(table.slice(rows - new), folder / "new.parquet")
    return folder / "before.parquet", folder / "new.parquet"


def timed(way: Callable[[], Any], repeats: int) -> tuple[dict[str, float], Any]:
    """Median seconds, and what the last run gave.

    Wall time, and the processor time of this process and its children, Spark's included: that one tells the work where
    the machine is busy with others.
    """
    seconds, cpu = list[float](), list[float]()
    for _ in range(repeats):
        gc.collect()
        started, begun = time.perf_counter(), cpu_seconds_of_tree(os.getpid())
        result = way()
        seconds.append(time.perf_counter() - started)
        cpu.append(cpu_seconds_of_tree(os.getpid()) - begun)
    found = {"seconds": round(statistics.median(seconds), 3), "cpu_seconds": round(statistics.median(cpu), 3)}
    print(found, file=sys.stderr, flush=True)
    return found, result


def in_turn(small: Callable[[], Any], large: Callable[[], Any]) -> dict[str, float]:
    """Medians of both, and of the ratios of neighbouring runs: what else the machine does is in both sides.

    The large one runs once before it is timed, as the small one has: a virtual machine gets memory that it never used
    before from its host, which takes up to seconds.
    """
    large()
    pairs = []
    for _ in range(PAIRS):
        sides = [timed(way, repeats)[0] for way, repeats in ((small, 3), (large, 1), (small, 3))]
        pairs.append((sides[1], [(sides[0][k] + sides[2][k]) / 2 for k in ("seconds", "cpu_seconds")]))
    return {
        "seconds": statistics.median(large["seconds"] for large, _ in pairs),
        "cpu_seconds": statistics.median(large["cpu_seconds"] for large, _ in pairs),
        "ratio": round(statistics.median(large["seconds"] / small[0] for large, small in pairs), 1),
        "cpu_ratio": round(statistics.median(large["cpu_seconds"] / small[1] for large, small in pairs), 1),
    }


def agree(name: str, found: pa.Table, wanted: pa.Table | None) -> pa.Table:
    """The values of the first way; raises where these differ by more than rounding."""
    ordered = found.select(["loan_id", *ways.FEATURES]).sort_by("loan_id")
    if wanted is None:
        return ordered
    wanted = wanted.select(["loan_id", *ways.FEATURES]).sort_by("loan_id")
    for column in ("loan_id", *ways.FEATURES):
        a, b = (np.asarray(t.column(column).cast(pa.float64()).to_numpy()) for t in (ordered, wanted))
        np.testing.assert_allclose(a, b, rtol=1e-9, err_msg=f"{name}: {column}")
    return wanted


if __name__ == "__main__":
    main()
