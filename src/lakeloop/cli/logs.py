"""`lakeloop logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunId = Annotated[str | None, typer.Argument(metavar="[RUN_ID]", help="Default: the newest run.")]
Step = Annotated[str | None, typer.Option(help="Only steps whose name contains this, e.g. train.")]

On = Annotated[str, typer.Option("--on", metavar="local|cluster|kubernetes-job", help="Where the run is.")]

MOST_LINES = 5000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(logs)


def logs(run_id: RunId = None, step: Step = None, on: On = "local") -> None:
    """Print the logs of a run's steps.

    \b
      lakeloop logs
      lakeloop logs RUN_ID --step train
      lakeloop logs RUN_ID --on cluster --step train
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    if on != "local":
        _from_the_cluster(run_id, step or "", on)
        return
    from lakeloop.cli import output
    from lakeloop.settings import Settings

    folder = _run_folder(Settings().runs_folder, run_id)
    wanted = (step or "").replace("_", "-")
    for path in sorted(folder.rglob("log.txt"), key=lambda p: (p.stat().st_mtime, str(p))):
        name = path.relative_to(folder)
        if wanted in str(name):
            output.data(f"==> {name}")
            output.data(path.read_text(encoding="utf-8", errors="replace").rstrip())


def _from_the_cluster(run_id: str | None, step: str, on: str) -> None:
    """The newest attempt of each step, the orchestrator's own lines left out."""
    from lakeloop.cli import output
    from lakeloop.cli.cluster_runs import service_of
    from lakeloop.domain.errors import LakeloopError, UserError
    from lakeloop.settings import Settings

    if run_id is None:
        raise UserError("which run?", where=f"lakeloop logs --on {on}", fix="name it: lakeloop logs RUN_ID")
    service = service_of(Settings(), on)
    wanted = step.replace("_", "-")
    names = {task.name for task in service.look(run_id).tasks if task.state != "skipped"}
    found = {name: service.step_log(run_id, name, MOST_LINES) for name in sorted(names) if wanted in name}
    for name, log in found.items():
        if log is not None:
            output.data(f"==> {name}, attempt {log.attempt}, pod {log.pod}")
            for line in [*log.lines, *([f"pod: {log.problem}"] if log.problem else [])]:
                output.data(line)
    if found and not any(found.values()):
        raise LakeloopError(
            "no log could be read: the pods are gone, or this account may not read them",
            where=f"run {run_id}",
            fix="see the roles in docs/guides/cluster.md, or the archived logs in the object store",
        )


def _run_folder(folder: Path, run_id: str | None) -> Path:
    from lakeloop.domain.errors import UserError

    known = sorted((p for p in folder.glob("*") if p.is_dir()), key=lambda p: p.stat().st_mtime)
    chosen = [p for p in known if p.name == run_id] if run_id else known[-1:]
    if not chosen:
        raise UserError(f"no run {run_id or 'yet'} in {folder}", fix="lakeloop runs lists them")
    return chosen[0]
