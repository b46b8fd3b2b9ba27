"""`make bench`: ratios against a named peer, each measured in one run on this machine. Never a test."""

from __future__ import annotations

import argparse
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import history, overhead, planning, throughput
from tests.bench.measured import Ratio, cores, memory_gib

BENCHES = {
    "overhead": overhead.measure,
    "history": history.measure,
    "throughput": throughput.measure,
    "planning": planning.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="default: all")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the throughput bench")
    given = parser.parse_args()
    console = Console()
    ratios: list[Ratio] = []
    for name in given.names or BENCHES:
        with tempfile.TemporaryDirectory(prefix=f"lakeloop-bench-{name}-") as folder:
            ratios += BENCHES[name](Path(folder), rows=given.rows, tell=console.print)
    console.print(_table(ratios))
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d}, {cores()} cores, {memory_gib():.0f} GiB, "
        f"Python {platform.python_version()}"
    )


def _table(ratios: list[Ratio]) -> Table:
    table = Table(title="lakeloop bench", show_lines=False)
    for heading in ("what", "ratio", "goal", "reached", "measured"):
        table.add_column(heading, overflow="fold")
    for ratio in ratios:
        table.add_row(
            ratio.what, f"{ratio.value:.2f}", ratio.goal, "yes" if ratio.reached else "no", ratio.detail
        )
    return table


if __name__ == "__main__":
    main()
