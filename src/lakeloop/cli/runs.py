"""`lakeloop runs`."""

from __future__ import annotations

from typing import Any

import typer

from lakeloop.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(runs)


def runs(json: Json = False) -> None:
    """List the pipeline runs and what each came to.

    \b
      lakeloop runs
      lakeloop runs --json | jq '.[-1].run_id'
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.settings import Settings

    journal = bootstrap.journal(Settings())
    found = [run_row(run_id, journal.documents(run_id)) for run_id in journal.runs()]
    if json:
        output.as_json(found)
        return
    if not found:
        output.say("no run yet; next: lakeloop run USE_CASE")
        return
    for line in output.table(tuple(found[0]), [tuple(row.values()) for row in found]):
        output.data(line)


def run_row(run_id: str, documents: dict[str, Any]) -> dict[str, Any]:
    """What a run's documents say, in a few words."""
    return {
        "run_id": run_id,
        "batch": documents.get("ingest", {}).get("outcome"),
        "rows": documents.get("ingest", {}).get("rows"),
        "plan": documents.get("plan", {}).get("action"),
        "verdict": documents.get("verdict", {}).get("decision"),
        "rollout": documents.get("rollout", {}).get("outcome"),
        "version": documents.get("registration", {}).get("version"),
    }
