"""(a) Wall time of a second run over the seconds spent inside Spark, training and scoring."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.bench.measured import Ratio, python, run_measured

GOAL = 1.5
RUNS = 4


def _run(home: Path) -> tuple[float, dict[str, float]]:
    """Wall seconds of one `lakeloop run card_fraud`, and the seconds of its work."""
    run = run_measured(
        python("lakeloop.cli", "run", "card_fraud", "--json"),
        {"LAKELOOP_HOME": str(home), "LAKELOOP_ENGINE": "spark"},
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
    _stop(folder / "home")
    return [_ratio(runs)]


def _stop(home: Path) -> None:
    """End the endpoint of this bench."""
    environment = {**os.environ, "LAKELOOP_HOME": str(home)}
    subprocess.run(python("lakeloop.cli", "stop", "--all"), env=environment, check=True, timeout=60)
