"""`python -m tests.scorecard`: run the scenarios, print the table, write docs/scorecard.md and docs/scorecard.json."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.scorecard import page
from tests.scorecard.cells import Row
from tests.scorecard.scenarios import SCENARIOS, play

PIPE_WIDTH = 160
DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    """1 where lakeloop let one through."""
    parser = argparse.ArgumentParser(prog="python -m tests.scorecard", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="only these scenarios; nothing is written then")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the page and its JSON")
    options = parser.parse_args()
    console, started = (
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH),
        time.monotonic(),
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="lakeloop-scorecard-") as folder:
        for row, seconds in play(Path(folder), tuple(options.numbers)):
            rows.append(row)
            console.print(f"{row.number:2}. {row.name}: {seconds:.1f} s", style="dim", highlight=False)
    console.print(page.terminal(rows))
    if len(rows) == len(SCENARIOS):
        (options.out / "scorecard.md").write_text(page.page(rows), encoding="utf-8")
        (options.out / "scorecard.json").write_text(page.document(rows), encoding="utf-8")
    console.print(f"{len(rows)} scenarios in {time.monotonic() - started:.0f} s", highlight=False)
    return int(any(row.lakeloop.outcome != "caught before traffic" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
