"""(c) Rows per second from an Iceberg increment to a trained booster, against the labs' way.

Both start from the same increment of the same table, in a process of their own, session start included, and
train 100 rounds of depth 6 with XGBoost's defaults on 80 % of the rows, as the labs' `XGBClassifier()` does.
lakeloop's side is all that the product does: features into the feature table by the engine that fits the rows (it
says which), Arrow batches, total order, time split.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.measured import Ratio, python, run_measured
from tests.bench.tables import bench_use_case, make_table, settings_in

SPEED_GOAL, MEMORY_GOAL = 3.0, 0.5
ROUNDS = 100


def measure(folder: Path, *, rows: int, tell: Callable[[str], None]) -> list[Ratio]:
    """The bench."""
    tell(f"throughput: making {rows} rows")
    settings = settings_in(folder)
    use_case = bench_use_case("bench.transactions", ROUNDS, params={"max_depth": 6})
    plan = make_table(settings, use_case, [1000, rows])
    (folder / "use_case.json").write_text(use_case.model_dump_json())
    (folder / "plan.json").write_text(plan.model_dump_json())
    tell("throughput: lakeloop")
    ours = run_measured(python("tests.bench.way_of_lakeloop", str(folder)), {})
    tell(f"throughput: lakeloop {ours.seconds:.0f} s, {ours.peak_gib:.1f} GiB: {ours.result}")
    labs = run_measured(python("tests.bench.way_of_the_labs", str(folder)), {})
    tell(f"throughput: the labs' way {labs.seconds:.0f} s, {labs.peak_gib:.1f} GiB: {labs.result}")
    speed, memory = labs.seconds / ours.seconds, ours.peak_gib / labs.peak_gib
    detail = f"{rows / ours.seconds:,.0f} rows/s over {rows / labs.seconds:,.0f} rows/s at {rows:,} rows"
    shares = f"{ours.peak_gib:.1f} GiB over {labs.peak_gib:.1f} GiB, peak of all processes"
    return [
        Ratio("c. Iceberg to booster, speed", speed, f">= {SPEED_GOAL}", speed >= SPEED_GOAL, detail),
        Ratio("c. Iceberg to booster, memory", memory, f"<= {MEMORY_GOAL}", memory <= MEMORY_GOAL, shares),
    ]
