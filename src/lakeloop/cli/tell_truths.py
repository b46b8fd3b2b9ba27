"""`lakeloop tell-truths`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, Parquet, or JSON lines.")]
IdColumn = Annotated[str, typer.Option("--id-column", help="Column of the prediction ids.")]
TruthColumn = Annotated[str, typer.Option("--truth-column", help="Column of the outcomes: 0 and 1.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tell-truths")(tell_truths)


def tell_truths(
    use_case: UseCaseArgument,
    file: File,
    id_column: IdColumn = "prediction_id",
    truth_column: TruthColumn = "truth",
    json: Json = False,
) -> None:
    """Tell what came true of logged predictions, by prediction id.

    It goes into the Iceberg table predictions.USE_CASE_truths; check-drift joins it, and hands it on to the model
    metrics of a workbench. The same file again changes nothing; of several words about a prediction the last counts.

    \b
      lakeloop tell-truths card_fraud chargebacks.csv --truth-column fraud
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.adapters.files.truths import read_truths
    from lakeloop.claiming import now_ms
    from lakeloop.cli import output
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    loaded, truths = load_use_case(use_case), read_truths(file, id_column, truth_column)
    log = bootstrap.logged_predictions(Settings(), loaded)
    end_ms = now_ms() + 1
    told, unknown = log.tell_truths(truths, 0, end_ms), len(truths) - log.known(truths)
    if json:
        output.as_json({"outcomes": len(truths), "new": told, "unknown_predictions": unknown})
        return
    output.data(f"{told} of {len(truths)} outcomes were new")
    if unknown:
        output.data(
            f"{unknown} are of no prediction in the log; what a workbench tracked comes in with check-drift"
        )
