"""`lakeloop logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunId = Annotated[str | None, typer.Argument(metavar="[RUN_ID]", help="Default: the newest run.")]
Step = Annotated[str | None, typer.Option(help="Only steps whose name contains this, e.g. train.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(logs)


def logs(run_id: RunId = None, step: Step = None) -> None:
    """Print the logs of a run's steps.

    \b
      lakeloop logs
      lakeloop logs RUN_ID --step train
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.settings import Settings

    folder = _run_folder(Settings().runs_folder, run_id)
    wanted = (step or "").replace("_", "-")
    for path in sorted(folder.rglob("log.txt"), key=lambda p: (p.stat().st_mtime, str(p))):
        name = path.relative_to(folder)
        if wanted in str(name):
            output.data(f"==> {name}")
            output.data(path.read_text(encoding="utf-8", errors="replace").rstrip())


def _run_folder(folder: Path, run_id: str | None) -> Path:
    from lakeloop.domain.errors import UserError

    known = sorted((p for p in folder.glob("*") if p.is_dir()), key=lambda p: p.stat().st_mtime)
    chosen = [p for p in known if p.name == run_id] if run_id else known[-1:]
    if not chosen:
        raise UserError(f"no run {run_id or 'yet'} in {folder}", fix="lakeloop runs lists them")
    return chosen[0]
