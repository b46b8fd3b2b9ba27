"""`lakeloop export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

To = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where to; default USE_CASE.parquet in this folder.")
]
Version = Annotated[
    str | None,
    typer.Option(metavar="VERSION", help="Exactly the rows that this model version was trained on."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(use_case: UseCaseArgument, to: To = None, version: Version = None, as_json: Json = False) -> None:
    """Write the training rows as one Parquet file.

    Key, event time, `_label` and the features: of all ranges that were computed by the features as they are declared
    now, or of one version's training set. Reads only, and starts no JVM.

    \b
      lakeloop export loans --to training.parquet
      lakeloop export loans --version 3
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap, exporting
    from lakeloop.cli import output
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    settings, declared = Settings(), load_use_case(use_case)
    lake, target = bootstrap.lake(settings), to or Path(f"{declared.name}.parquet")
    if version is None:
        rows = exporting.rows_computed(lake, declared)
    else:
        trained = bootstrap.model_registry(settings).trained(declared.name, version)
        rows = exporting.rows_of(trained.lineage.training_set, lake)
    count = exporting.export(lake, rows, target)
    told = {"file": str(target), "rows": count, "table": rows.table, "snapshot_id": rows.snapshot_id}
    if as_json:
        output.as_json(told)
        return
    output.say(f"{target}: {count:,} rows of {rows.table} at snapshot {rows.snapshot_id}")
