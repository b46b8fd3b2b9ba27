"""Feed 2013's flights through the pipeline, month by month, and show each month's champion, challenger and verdict.

Each month is one `lakeloop run flights`. Months that have landed already are not run again; what they came to is kept
in docs/flights/results.json, from which the table and the plot are made.
"""

from __future__ import annotations

import argparse
import calendar
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import prepare_flights

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "docs" / "flights"
USE_CASE = ROOT / "conf" / "use_cases" / "flights.yaml"
RUN_TIMEOUT_SECONDS = 1800
HEAD = """# 2013's flights, one batch a month

Does a flight from New York arrive more than 15 minutes late? Made by `make demo-flights`: {months} runs of the
committed pipeline on real data. Both models are scored on the same rows, the last fifth of the month. Intervals: 95 %,
paired bootstrap.

![ROC AUC of champion and challenger by month](months.svg)

| Month | Flights | Late | Challenger | Champion | Difference | Verdict | Live afterwards |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Run what has not run, then write the table and the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months", type=int, default=12, choices=range(1, 13), metavar="1..12")
    parser.add_argument("--folder", type=Path, default=OUTPUT, help="for the table, the plot and the numbers")
    arguments = parser.parse_args()
    files = prepare_flights.prepare(prepare_flights.DEFAULT_FOLDER)
    results = read_results(arguments.folder / "results.json")
    for _ in range(arguments.months):
        document = run_pipeline()
        landed = document["batch"].get("source_files") or []
        if not landed:
            break
        month = next(m for m, file in files.items() if landed[0]["uri"].endswith(file.name))
        results[month] = month_result(document)
        print(f"{calendar.month_name[month]}: {results[month]['verdict']}", flush=True)
        write(arguments.folder, results)
    print(
        f"{arguments.folder / 'README.md'}: {len(results)} months. `lakeloop stop flights` ends the endpoint."
    )


def read_results(file: Path) -> dict[int, dict[str, Any]]:
    """Results of earlier runs by month; empty without a file."""
    if not file.exists():
        return {}
    return {int(month): result for month, result in json.loads(file.read_text(encoding="utf-8")).items()}


def run_pipeline() -> dict[str, Any]:
    """One `lakeloop run`; progress goes to the terminal.

    Raises:
        SystemExit: the run failed.
    """
    command = [sys.executable, "-m", "lakeloop.cli", "run", str(USE_CASE), "--json"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT, timeout=RUN_TIMEOUT_SECONDS
    )
    if done.returncode:
        print(f"`{' '.join(command[1:])}` failed; the lines above say why", file=sys.stderr)
        raise SystemExit(done.returncode)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def month_result(document: dict[str, Any]) -> dict[str, Any]:
    """What a month came to, from its run's documents."""
    verdict, profile = document["verdict"], document["profile"]
    return {
        "flights": profile["rows"],
        "late": profile["label_rate"],
        "metric": verdict["metric"],
        "challenger": metric(verdict, "challenger"),
        "champion": metric(verdict, "champion"),
        "champion_version": verdict["champion_version"],
        "difference": verdict["difference"],
        "verdict": verdict["decision"],
        "reasons": verdict["reasons"],
        "holdout_rows": verdict["rows"],
        "live_version": (document.get("rollout") or {}).get("version") or verdict["champion_version"],
        "seconds": round(sum(task["seconds"] or 0.0 for task in document["tasks"].values()), 1),
    }


def metric(verdict: dict[str, Any], model: str) -> dict[str, float] | None:
    """The gate's metric of a model, with its interval."""
    scores = verdict[model]
    return scores["metrics"][verdict["metric"]] if scores else None


def write(folder: Path, results: dict[int, dict[str, Any]]) -> None:
    """Numbers, table and plot."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = dict(sorted(results.items()))
    (folder / "results.json").write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    lines = [row(month, result) for month, result in ordered.items()]
    text = HEAD.format(months=len(ordered)) + "\n".join(lines) + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")
    draw(folder / "months.svg", ordered)


def row(month: int, result: dict[str, Any]) -> str:
    """A month's line of the table."""
    difference = result["difference"]
    change = (
        f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
        if difference
        else "first model"
    )
    champion = result["champion"]
    before = f"{champion['value']:.3f} (v{result['champion_version']})" if champion else "none"
    cells = [
        calendar.month_name[month],
        f"{result['flights']:,}",
        f"{result['late']:.1%}",
        f"{result['challenger']['value']:.3f}",
        before,
        change,
        result["verdict"],
        f"v{result['live_version']}",
    ]
    return f"| {' | '.join(cells)} |"


def draw(file: Path, results: dict[int, dict[str, Any]]) -> None:
    """ROC AUC of both models by month; promoted challengers are filled."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for model, colour, shift in (("champion", "#b45309", -0.08), ("challenger", "#2563eb", 0.08)):
        points = {m: r[model] for m, r in results.items() if r[model]}
        places, values = [m + shift for m in points], [p["value"] for p in points.values()]
        reach = [
            [p["value"] - p["low"] for p in points.values()],
            [p["high"] - p["value"] for p in points.values()],
        ]
        axes.errorbar(places, values, yerr=reach, color=colour, linewidth=1, capsize=2, label=model, zorder=1)
        promoted = [model == "champion" or results[m]["verdict"] == "promote" for m in points]
        fills = [colour if fill else "white" for fill in promoted]
        axes.scatter(places, values, facecolors=fills, edgecolors=colour, s=36, zorder=2)
    axes.set_xticks(list(results), [calendar.month_abbr[m] for m in results])
    axes.set_ylabel("ROC AUC on the month's last fifth")
    axes.set_title("Filled: the challenger was promoted. Hollow: rejected, the champion stayed.", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with mpl.rc_context({"svg.hashsalt": "flights"}):
        figure.savefig(file, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
