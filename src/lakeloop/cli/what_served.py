"""`lakeloop what-served`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.served import Serving

At = Annotated[
    str,
    typer.Option(
        metavar="MOMENT", help="now, ISO 8601 (UTC where it names no zone), or milliseconds since the epoch."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("what-served")(what_served)


def what_served(use_case: UseCaseArgument, at: At = "now", json: Json = False) -> None:
    """Show which version served at a moment, and what it was made of.

    Version, snapshots, verdict, who made it serve and who ended that, from the ledger alone. Leaves with 2
    where nothing had been promoted by then.

    \b
      lakeloop what-served card_fraud --at 2026-01-31T18:00
      lakeloop what-served card_fraud --at 2026-01-31T18:00:00+01:00 --json | jq -r .version
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.claiming import now_ms
    from lakeloop.cli import output
    from lakeloop.domain import served
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.moments import parse_moment
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    name, at_ms = load_use_case(use_case).name, parse_moment(at, now_ms())
    found = served.what_served(bootstrap.ledger(Settings()).events(name, documents=False), at_ms)
    if found is None:
        raise UserError(
            f"nothing had been promoted by {output.moment(at_ms)} UTC", where=name, fix="see lakeloop history"
        )
    if json:
        output.as_json({"use_case": name, "at_ms": at_ms, **found.model_dump(mode="json")})
        return
    for line in serving_lines(name, found):
        output.data(line)


def serving_lines(name: str, found: Serving) -> list[str]:
    """The serving as text."""
    from lakeloop.cli.output import moment

    until = f"until {moment(found.until_ms)}" if found.until_ms is not None else "until now"
    ended = f"version {found.followed_by}, {found.followed_reason}" if found.followed_by else ""
    parts = [
        ("served", f"from {moment(found.from_ms)} {until} (UTC)"),
        ("snapshots", range_text(found)),
        ("verdict", found.verdict),
        (found.how.replace("_", " "), f"by {found.by} ({found.owner}): {found.reason}"),
        ("MLflow run", found.mlflow_run_id or ""),
        ("then", ended),
    ]
    return [f"{name}: version {found.version}", *(f"  {label:<11} {text}" for label, text in parts if text)]


def range_text(found: Serving) -> str:
    """`(from, to] of table`."""
    if found.range is None:
        return ""
    start = found.range.from_snapshot_id or "the first row"
    return f"({start}, {found.range.to_snapshot_id}] of {found.range.table}"
