"""`lakeloop init`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lakeloop.domain.table_facts import TableFacts

Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="CSV, Parquet or JSON-lines file or glob, or an Iceberg table."),
]
Label = Annotated[str | None, typer.Option(help="Column to predict; default: the one that looks like it.")]
Name = Annotated[str | None, typer.Option(help="Name of the use case; default: from the source.")]
EventTime = Annotated[str | None, typer.Option(help="Column that says when a row happened.")]
Key = Annotated[list[str] | None, typer.Option(help="Column that identifies a row; repeat it for several.")]
Table = Annotated[str | None, typer.Option(help="Iceberg table to fill; default lakehouse.NAME.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File; default conf/use_cases/NAME.yaml; - for stdout."),
]
Force = Annotated[bool, typer.Option(help="Overwrite the file.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(  # noqa: PLR0913 - a command's signature is its options
    source: Source,
    *,
    label: Label = None,
    name: Name = None,
    event_time: EventTime = None,
    key: Key = None,
    table: Table = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """Write a first use case by looking at data.

    SOURCE is files or an Iceberg table of the catalog. Guesses types, key, event time, label, features
    and expectations with room around what was seen, writes at most 40 commented lines, and checks that they
    validate. Nothing else is written.

    \b
      lakeloop init trips.csv --label late
      lakeloop init "exports/2024-*.parquet" --name churn --label churned --key customer_id
      lakeloop init bank.transactions --label fraud_trx
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output as out
    from lakeloop.drafting import Wishes, choose, use_case_text
    from lakeloop.use_case_files import use_case_folder

    facts = _look(source)
    named = name or _name(source)
    file = output or use_case_folder() / f"{named}.yaml"
    choices = choose(facts, Wishes(label, event_time, tuple(key or ())))
    target = source if facts.kind == "table" else table or f"lakehouse.{named}"
    path = "" if facts.kind == "table" else _seen_from(source, file)
    text = use_case_text(named, target, path, facts, choices)
    if str(file) == "-":
        out.data(text.rstrip())
        return
    _write(file, text, force=force)
    out.say(f"{file}: {len(choices.features)} features, label {choices.label}, key {', '.join(choices.key)}")
    for column, reason in choices.left_out.items():
        out.say(f"  left out: {column} ({reason})")
    out.say(f"  next: read {file}, then: {out.program()} run {file}")


def _look(source: str) -> TableFacts:
    from lakeloop import bootstrap
    from lakeloop.domain.errors import UserError
    from lakeloop.settings import Settings

    inspector, settings = bootstrap.inspector(), Settings()
    if "://" in source:
        raise UserError("init looks at local files and tables", where=source, fix="copy one file here")
    if _is_table(source):
        lake = bootstrap.lake(settings)
        state = lake.table_state(source)
        if state is not None and state.current_snapshot_id is not None:
            return inspector.rows(source, lake.read_batches(source, state.current_snapshot_id))
        raise UserError("there is no such file, and no such table with rows", where=source, fix="correct it")
    return inspector.files(source)


def _name(source: str) -> str:
    """A valid name from a table, or from the first file of a path."""
    from lakeloop.drafting.text import plain_name

    last = source.rsplit(".", 1)[-1] if _is_table(source) else re.split(r"[.*?\[]", Path(source).name)[0]
    return plain_name(last).lower().lstrip("_0123456789")[:63] or "my_use_case"


def _is_table(source: str) -> bool:
    return bool(re.fullmatch(r"\w+(\.\w+)+", source)) and not Path(source).exists()


def _seen_from(source: str, file: Path) -> str:
    here = Path.cwd() if str(file) == "-" else file.resolve().parent
    return os.path.relpath(Path(source).resolve(), here)


def _write(file: Path, text: str, *, force: bool) -> None:
    from lakeloop.domain.errors import UserError
    from lakeloop.use_case_files import load_use_case

    if file.exists() and not force:
        raise UserError("the file is there already", where=str(file), fix="give --output or --force")
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.draft.yaml")
    try:
        draft.write_text(text, encoding="utf-8")
        load_use_case(str(draft))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
