"""`lakeloop score-batch`."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

TableOption = Annotated[str | None, typer.Option("--table", help="Another table with the same columns.")]
From = Annotated[str | None, typer.Option("--from", metavar="SNAPSHOT", help="Only rows added after it.")]
To = Annotated[str | None, typer.Option("--to", metavar="SNAPSHOT", help="Up to it; default: the newest.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score-batch")(score_batch)


def score_batch(
    use_case: UseCaseArgument,
    table: TableOption = None,
    start: From = None,
    end: To = None,
    as_json: Json = False,
) -> None:
    """Score a table with the champion, into the Iceberg table predictions.USE_CASE_batch.

    File by file, each exactly once: interrupted and started again, it goes on where it was, and once more it does
    nothing. The scores are those that the endpoint answers.

    \b
      lakeloop score-batch card_fraud
      lakeloop score-batch card_fraud --from 3051729675574597004
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.serving.batch_champion import RowsToScore
    from lakeloop.serving.batch_champion import score_batch as score
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    scored = score(Settings(), load_use_case(use_case), RowsToScore(table, start, end), output.say)
    if as_json:
        output.as_json(scored.model_dump(mode="json"))
        return
    output.data(f"{scored.rows:,} rows scored into {scored.target} (job_id {scored.job_id})")
