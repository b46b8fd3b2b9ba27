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

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME|SNAPSHOT|REF",
        help="Only rows that the source table held then, as in lakeloop show; default now.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    use_case: UseCaseArgument,
    to: To = None,
    version: Version = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Write the training rows as one Parquet file.

    Key, event time, `_label` and the features, each as of its row's event time: of all rows that features were
    computed of as they are declared now, or of one version's training set. The file's metadata (key `lakeloop`)
    says which snapshots they come from. Reads only, and starts no JVM.

    \b
      lakeloop export loans --to training.parquet
      lakeloop export loans --version 3
      lakeloop export loans --at 2026-01-31
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from dataclasses import asdict

    from lakeloop import bootstrap, exporting
    from lakeloop.cli import output
    from lakeloop.domain.errors import UserError
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    if version is not None and at is not None:
        raise UserError("--version and --at are different rows", where="lakeloop export", fix="name one")
    settings, declared = Settings(), load_use_case(use_case)
    lake, target = bootstrap.lake(settings), to or Path(f"{declared.name}.parquet")
    if version is None:
        rows = exporting.rows_computed(lake, declared, at)
    else:
        lineage = bootstrap.model_registry(settings).trained(declared.name, version).lineage
        rows = exporting.rows_of(lineage, version, lake)
    count, origin = exporting.export(lake, rows, target), rows.origin
    if as_json:
        output.as_json({"file": str(target), "rows": count, **asdict(origin)})
        return
    output.data(
        f"{target}: {count:,} rows of {origin.source_table} up to snapshot {origin.source_snapshot_id} "
        f"(features: {origin.feature_table} at {origin.feature_snapshot_id})"
    )
