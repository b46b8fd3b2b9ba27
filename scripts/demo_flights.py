"""A year of flights, one batch a month, through the committed pipeline: `make demo-flights`.

Writes the table (README.md) and the plot (verdicts.svg) of each month's champion, challenger and verdict.
Runs in a LAKELOOP_HOME of its own, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MONTHS = 12
RUN_SECONDS = 1800
METRIC = "roc_auc"
LOOKS = {"champion": ("#a85b00", -0.09, "s"), "challenger": ("#2f6fb2", 0.09, "o")}


def main() -> None:
    """Prepare the files, run what is left of the year, write what became of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=ROOT / ".lakeloop" / "flights-demo")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "flights")
    parser.add_argument("--months", type=int, default=MONTHS)
    given = parser.parse_args()
    subprocess.run([sys.executable, ROOT / "scripts" / "prepare_flights.py"], check=True)
    given.home.mkdir(parents=True, exist_ok=True)
    results = [month_result(given.home, month) for month in range(1, given.months + 1)]
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "README.md").write_text(page(results), encoding="utf-8")
    draw(results, given.output / "verdicts.svg")
    print(f"{given.output / 'README.md'}")


def month_result(home: Path, month: int) -> dict[str, Any]:
    """The month's run, or what an earlier call of this script has kept of it."""
    kept = home / f"month-{month:02d}.json"
    if not kept.exists():
        print(f"== month {month} of {MONTHS}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "lakeloop.cli", "run", "flights", "--json"],
            cwd=ROOT,
            env={**os.environ, "LAKELOOP_HOME": str(home.resolve())},
            stdout=subprocess.PIPE,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"month {month} left with {done.returncode} -> see above, then call this again")
        kept.write_text(done.stdout, encoding="utf-8")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return {**result, "month": month}


def page(results: list[dict[str, Any]]) -> str:
    """The walk-through as Markdown."""
    rows = "\n".join(_row(result) for result in results)
    return (
        "# A year of flights\n\n"
        "Will a flight from New York arrive more than 15 minutes late? The 336,776 flights of 2013, a batch "
        "a month, only what is known before take-off. Each month's challenger is judged on the newest fifth "
        "of that month, which it has not seen, against the champion of that moment, on the same rows. "
        "`make demo-flights` writes this page.\n\n"
        "![ROC AUC of champion and challenger by month](verdicts.svg)\n\n"
        "| month | flights landed | held out | challenger | champion | difference | verdict | serves then |\n"
        "|---:|---:|---:|---|---|---|---|---|\n"
        f"{rows}\n\n"
        "ROC AUC with 95 % bootstrap intervals; the difference is paired. The first month has no champion: "
        "an explicit bootstrap. A rejection is a successful run: the champion stays, and the ledger says "
        "why.\n"
    )


def _row(result: dict[str, Any]) -> str:
    verdict = result["verdict"]
    cells = [
        result["month"],
        f"{result['ingest']['rows']:,}",
        f"{verdict['rows']:,}",
        interval((verdict["challenger"] or {}).get("metrics", {}).get(METRIC)),
        interval((verdict["champion"] or {}).get("metrics", {}).get(METRIC)),
        interval(verdict["difference"], signed=True),
        verdict["decision"],
        served(result),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def served(result: dict[str, Any]) -> str:
    """Version that answers after the run."""
    if "rollout" in result:
        return f"version {result['rollout']['version']}"
    return f"version {result['verdict']['champion_version']}"


def interval(value: dict[str, float] | None, *, signed: bool = False) -> str:
    """Value and interval, or a dash."""
    if value is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    return f"{value['value']:{form}} ({value['low']:{form}} to {value['high']:{form}})"


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Champion and challenger by month with their intervals; a filled marker was promoted."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "lakeloop", "svg.fonttype": "none", "font.size": 11})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for name in LOOKS:
        _series(axes, results, name)
    axes.set(xlabel="month of 2013", ylabel="ROC AUC on the month's held-out rows")
    axes.set_xticks([result["month"] for result in results])
    axes.grid(visible=True, axis="y", color="#d0d7de", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=2, title="filled: promoted")
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def _series(axes: Any, results: list[dict[str, Any]], name: str) -> None:
    colour, shift, marker = LOOKS[name]
    label: str | None = name
    for result in results:
        scores = result["verdict"][name]
        if scores is None:
            continue
        at = scores["metrics"][METRIC]
        filled = name == "challenger" and result["verdict"]["decision"] == "promote"
        axes.errorbar(
            result["month"] + shift,
            at["value"],
            yerr=[[at["value"] - at["low"]], [at["high"] - at["value"]]],
            fmt=marker,
            color=colour,
            mfc=colour if filled else "white",
            capsize=3,
            label=label,
        )
        label = None


if __name__ == "__main__":
    main()
