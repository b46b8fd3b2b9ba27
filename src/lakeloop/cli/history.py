"""`lakeloop history`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.ledger import LedgerEvent


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(history)


def history(use_case: UseCaseArgument, as_json: Json = False) -> None:
    """Show the ledger: what became of which snapshots, and why.

    Every promotion, rejection and refusal, oldest first.

    \b
      lakeloop history card_fraud
      lakeloop history card_fraud --json | jq '.[] | select(.kind == "rejected") | .reason'
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    name = load_use_case(use_case).name
    events = bootstrap.ledger(Settings()).events(name)
    if as_json:
        output.as_json([event_document(event) for event in events])
        return
    if not events:
        output.say(f"{name}: nothing has happened yet; next: lakeloop run {use_case}")
        return
    for line in history_lines(events):
        output.data(line)


def event_document(event: LedgerEvent) -> dict[str, Any]:
    """The event, with the verdict, rollout or plan behind it as JSON instead of as text."""
    behind = json.loads(event.document) if event.document else None
    return {**event.model_dump(mode="json"), "document": behind}


def history_lines(events: list[LedgerEvent]) -> list[str]:
    """One line an event."""
    from lakeloop.cli.output import moment, table

    rows = [
        (moment(e.at_ms), e.kind, e.range.to_snapshot_id if e.range else None, e.model_version, e.reason)
        for e in events
    ]
    return table(("when (UTC)", "event", "to snapshot", "model version", "reason"), rows)
