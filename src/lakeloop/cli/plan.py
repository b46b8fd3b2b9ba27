"""`lakeloop plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.plan import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(use_case: UseCaseArgument, json: Json = False) -> None:
    """Show what the next training would read, and why.

    Answers from metadata alone, in about a second. Starts nothing and writes nothing. Leaves
    with 4 when lakeloop would refuse to train.

    \b
      lakeloop plan card_fraud
      lakeloop plan card_fraud --json | jq .action
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.domain.errors import RefusedError
    from lakeloop.planning import plan_use_case
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    loaded = load_use_case(use_case)
    settings = Settings()
    planned = plan_use_case(bootstrap.lake(settings), bootstrap.ledger(settings), loaded)
    if json:
        output.as_json(planned.model_dump(mode="json"))
    else:
        for line in plan_lines(loaded.name, planned):
            output.data(line)
    if planned.action == "refuse":
        raise typer.Exit(RefusedError.exit_code)


def plan_lines(use_case: str, planned: Plan) -> list[str]:
    """The plan as text: action, reasons, range, snapshots."""
    from lakeloop.cli.output import moment, table

    lines = [f"{use_case}: {planned.action}", *(f"  {reason}" for reason in planned.reasons)]
    if planned.range:
        start = planned.range.from_snapshot_id or "the first row"
        lines += [f"  range ({start}, {planned.range.to_snapshot_id}] of {planned.range.table}"]
    if planned.snapshots:
        rows = [
            (
                s.snapshot_id,
                moment(s.timestamp_ms),
                s.operation,
                s.count("added-records"),
                s.count("deleted-records"),
            )
            for s in planned.snapshots
        ]
        lines += ["", *table(("snapshot", "committed (UTC)", "operation", "added", "deleted"), rows)]
    return lines
