"""(a) Wall time of a second run over the seconds spent inside Spark, training and scoring.

On Spark by request: 10,000 rows need none, and without it there are no seconds inside Spark to compare with. What the
default, `engine: auto`, takes beside it is the second line.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench.measured import Ratio, python, run_measured

GOAL = 1.5
RUNS = 4


def _run(home: Path, engine: str = "spark") -> tuple[float, dict[str, float]]:
    """Wall seconds of one `lakeloop run card_fraud`, and the seconds of its work."""
    run = run_measured(
        python("lakeloop.cli", "run", "card_fraud", "--json"),
        {"LAKELOOP_HOME": str(home), "LAKELOOP_ENGINE": engine},
    )
    work = {
        "Spark, ingest": run.result["ingest"]["spark_seconds"],
        "Spark, features": run.result["training_set"]["spark_seconds"],
        "training": run.result["training"]["train_seconds"],
        "scoring": run.result["verdict"]["scoring_seconds"],
    }
    return run.seconds, work


def _runs(folder: Path, tell: Callable[[str], None]) -> list[tuple[float, dict[str, float]]]:
    """The first run, which makes the embedded set-up, and then the measured ones."""
    tell("overhead: first run")
    _run(folder / "home")
    runs = []
    for number in range(2, RUNS + 1):
        runs.append(_run(folder / "home"))
        tell(f"overhead: run {number}: {runs[-1][0]:.1f} s, of which work {sum(runs[-1][1].values()):.1f} s")
    return runs


def _without_spark(folder: Path, spark: list[float], tell: Callable[[str], None]) -> Ratio:
    """The default engine's later runs on the same table, against those on Spark."""
    default = [_run(folder / "home", "auto")[0] for _ in range(RUNS - 1)]
    tell(f"overhead: engine auto: {', '.join(f'{seconds:.1f} s' for seconds in default)}")
    auto_seconds, spark_seconds = median(default), median(spark)
    value = auto_seconds / spark_seconds
    detail = f"{auto_seconds:.1f} s against {spark_seconds:.1f} s, medians of {RUNS - 1} runs"
    return Ratio("a. the same run, engine auto over engine spark", value, "<= 1", value <= 1, detail)


def _ratio(runs: list[tuple[float, dict[str, float]]]) -> Ratio:
    """The median run's ratio."""
    seconds, work = sorted(runs, key=lambda run: run[0] / sum(run[1].values()))[len(runs) // 2]
    value = seconds / sum(work.values())
    parts = ", ".join(f"{name} {part:.1f}" for name, part in work.items())
    detail = f"{seconds:.1f} s wall over {sum(work.values()):.1f} s ({parts}); median of {len(runs)} runs"
    return Ratio("a. loop overhead, card_fraud", value, f"<= {GOAL}", value <= GOAL, detail)


def measure(folder: Path, *, rows: int, tell: Callable[[str], None]) -> list[Ratio]:
    """The bench."""
    runs = _runs(folder, tell)
    default = _without_spark(folder, [seconds for seconds, _ in runs], tell)
    _stop(folder / "home")
    return [_ratio(runs), default]


def _stop(home: Path) -> None:
    """End the endpoint of this bench."""
    environment = {**os.environ, "LAKELOOP_HOME": str(home)}
    subprocess.run(python("lakeloop.cli", "stop", "--all"), env=environment, check=True, timeout=60)
