"""`lakeloop validate`."""

import typer

from lakeloop.cli.options import Json, UseCaseArgument


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(validate)


def validate(use_case: UseCaseArgument, json: Json = False) -> None:
    """Check a use case and name every problem.

    Keys, types, columns, expressions and XGBoost's parameters; each problem comes with its place. Exit code 2
    when something is wrong. With --json, print the exact text that the pipeline takes
    as its parameter `use_case`.

    \b
      lakeloop validate card_fraud
      lakeloop validate my/trips.yaml --json > use_case.json
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.preflight import check_use_case
    from lakeloop.use_case_files import find_use_case, load_use_case

    loaded = load_use_case(use_case)
    check_use_case(loaded)
    if json:
        output.data(loaded.model_dump_json())
        return
    output.data(
        f"{find_use_case(use_case)}: valid: {loaded.name} on table {loaded.table.name}, "
        f"{len(loaded.features)} features, label {loaded.label.column}, source {loaded.source.kind}"
    )
