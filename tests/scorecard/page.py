"""The scorecard as a terminal table, as a page and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from tests.scorecard.cells import Outcome, Row, Seen

OUTCOMES: tuple[Outcome, ...] = ("caught before traffic", "caught later", "silent")
_STYLES = {"caught before traffic": "green", "caught later": "yellow", "silent": "red"}
_MARKS = {"caught before traffic": "✅", "caught later": "🟡", "silent": "❌"}
_INTRODUCTION = """# Scorecard: twenty ways to a silent wrong model

Written by `make scorecard`, which plays each scenario on both sides and looks at what is then true; do not edit.

- **The labs' way**: the logic of the field's walk-throughs, written anew from its description in
  [labs.py](../tests/scorecard/labs.py). The range is the last row of `.snapshots` and its parent, read in append
  mode; the latest run is `search_runs(...).iloc[-1]`; a failed append replaces the table; there is no gate; nobody
  waits for a build or a deployment. It runs on the same Spark, Iceberg, MLflow and XGBoost. In every scenario but 11
  its look-up of the latest run is made to find the right one, so that one fault does not hide another. For 20, which
  the labs do not have, it is a cache keyed by the text of a step's specification, as KFP's is.
- **lakeloop**: the bodies of its own steps in the pipeline's order, on its own adapters and server processes.

A cell follows from the end state ([cells.py](../tests/scorecard/cells.py)). **Caught before traffic**: nothing wrong
took effect, and either the work was done right or somebody was told. **Caught later**: something wrong took effect,
and some step ended with an error, before it or after. **Silent**: something wrong took effect, all was green.
"""


def terminal(rows: Sequence[Row]) -> Table:
    """For rich's console."""
    table = Table(title="Twenty ways to a silent wrong model", show_lines=True)
    table.add_column("#", justify="right")
    for name in ("scenario", "the labs' way", "lakeloop"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(str(row.number), row.name, _cell(row.labs), _cell(row.lakeloop))
    table.add_section()
    table.add_row("", "caught before traffic", _total(rows, "labs"), _total(rows, "lakeloop"))
    return table


def page(rows: Sequence[Row]) -> str:
    """Markdown: counts, cells, and the evidence of each."""
    counts = {side: Counter(getattr(row, side).outcome for row in rows) for side in ("labs", "lakeloop")}
    lines = [_INTRODUCTION, "| | the labs' way | lakeloop |", "|---|---|---|"]
    lines += [f"| {_MARKS[o]} {o} | {counts['labs'][o]} | {counts['lakeloop'][o]} |" for o in OUTCOMES]
    lines += ["", "| # | scenario | the labs' way | lakeloop |", "|---|---|---|---|"]
    lines += [f"| {r.number} | {r.name} | {_marked(r.labs)} | {_marked(r.lakeloop)} |" for r in rows]
    return "\n".join(lines) + "\n"


def document(rows: Sequence[Row]) -> str:
    """JSON: the same, for programs."""
    return json.dumps({"scenarios": [_entry(row) for row in rows]}, indent=2, ensure_ascii=False) + "\n"


def _entry(row: Row) -> dict[str, Any]:
    sides = {
        name: {"outcome": seen.outcome, "evidence": seen.evidence}
        for name, seen in (("labs", row.labs), ("lakeloop", row.lakeloop))
    }
    return {"number": row.number, "name": row.name, **sides}


def _cell(seen: Seen) -> str:
    style = _STYLES[seen.outcome]
    return f"[{style}]{seen.outcome}[/{style}]\n{seen.evidence.replace('[', chr(92) + '[')}"


def _marked(seen: Seen) -> str:
    return f"{_MARKS[seen.outcome]} {seen.outcome}: {seen.evidence.replace('|', chr(92) + '|')}"


def _total(rows: Sequence[Row], side: str) -> str:
    caught = sum(getattr(row, side).outcome == "caught before traffic" for row in rows)
    return f"{caught} of {len(rows)}"
