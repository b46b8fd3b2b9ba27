"""`lakeloop schedule`: recurring runs on the cluster, as declared in conf/schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json

if TYPE_CHECKING:
    from lakeloop.domain.schedule import Recurring, Schedule, ScheduleChange
    from lakeloop.ports.schedules import Schedules
    from lakeloop.settings import Settings

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all of conf/schedules.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Change it.")]
Prune = Annotated[bool, typer.Option("--prune", help="Also delete what is declared no longer.")]

commands = typer.Typer(
    help="Recurring runs on Kubeflow Pipelines, declared in conf/schedules/*.yaml (or LAKELOOP_SCHEDULES)."
    "\n\n\b\n  lakeloop schedule list\n  lakeloop schedule apply\n  lakeloop schedule apply --yes",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="schedule")


@commands.command("apply")
def apply(names: Names = None, *, yes: Yes = False, prune: Prune = False, json: Json = False) -> None:
    """Make the cluster's recurring runs what is declared. Shows what would change; --yes changes it.

    The same declaration twice changes nothing; a changed one, or a changed pipeline, replaces its recurring run.
    One run at a time, nothing is caught up. Recurring runs that lakeloop did not make are left alone.

    \b
      lakeloop schedule apply
      lakeloop schedule apply card_fraud_nightly --yes
      lakeloop schedule apply --prune --yes
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.domain.errors import ConflictError
    from lakeloop.domain.schedule import plan_changes
    from lakeloop.runners.cluster.scheduling import applied

    settings, wanted = _wanted(names)
    place = _schedules(settings)
    changes = plan_changes(wanted, place.known(), prune=prune and not names)
    left = applied(place, wanted, changes, output.say) if yes else ()
    if json:
        output.as_json([_row(change) for change in changes])
    else:
        for line in change_lines(changes, yes=yes):
            output.data(line)
    if left:
        raise ConflictError(
            f"not all could be changed yet: {', '.join(c.name for c in left)}",
            fix="see above what goes on, and apply again after it",
        )


@commands.command("list")
def list_(json: Json = False) -> None:
    """Show what is declared, and what the cluster has.

    \b
      lakeloop schedule list
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.use_case_files.schedules import load_schedules

    settings, wanted = _wanted(None)
    rows = [_listed(one) for one in load_schedules()]
    changes = _changes_by_name(settings, wanted) if wanted else {}
    for row in rows:
        row["on_the_cluster"] = changes.get(row.pop("recurring_run"), row["on_the_cluster"])
    if json:
        output.as_json(rows)
    elif not rows:
        output.say("nothing is declared in conf/schedules")
    else:
        for line in output.table(tuple(rows[0]), [tuple(row.values()) for row in rows]):
            output.data(line)


@commands.command("delete")
def delete(names: Annotated[list[str], typer.Argument(metavar="NAME...")], *, yes: Yes = False) -> None:
    """Delete recurring runs that lakeloop made. --yes deletes.

    One whose run goes on is only switched off, since Kubeflow Pipelines would end the run with it: leaves with 3,
    and the same command deletes it later.

    \b
      lakeloop schedule delete card_fraud_nightly --yes
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.domain.errors import ConflictError, UserError
    from lakeloop.domain.schedule import PREFIX
    from lakeloop.runners.cluster.scheduling import remove
    from lakeloop.settings import Settings

    place = _schedules(Settings())
    wanted = {f"{PREFIX}{name.replace('_', '-')}": name for name in names}
    found = [one for one in place.known() if one.name in wanted]
    missing = sorted(name for run, name in wanted.items() if run not in {one.name for one in found})
    if missing:
        raise UserError(f"the cluster has no schedule {', '.join(missing)}", fix="lakeloop schedule list")
    if not yes:
        for one in found:
            output.data(f"would go: {one.name} ({one.cron}) {one.recurring_run_id}")
        output.data("nothing was deleted yet: --yes deletes")
        return
    gone = [remove(place, one, output.data) for one in found]  # each of them, whatever becomes of the others
    if not all(gone):
        raise ConflictError(
            "runs go on", where="lakeloop schedule delete", fix="call it again after their end"
        )


def change_lines(changes: tuple[ScheduleChange, ...], *, yes: bool) -> list[str]:
    """The plan, and whether it was carried out."""
    from lakeloop.cli.output import table

    if not changes:
        return ["no schedule by the clock is declared, and the cluster has none of lakeloop's"]
    lines = table(("action", "recurring run", "why"), [(c.action, c.name, c.reason) for c in changes])
    todo = [c for c in changes if c.action not in {"keep", "leave"}]
    if not todo:
        return [*lines, "nothing to change"]
    return [*lines, f"{len(todo)} changed" if yes else f"{len(todo)} would change; --yes changes them"]


def _row(change: ScheduleChange) -> dict[str, Any]:
    return {"action": change.action, "name": change.name, "reason": change.reason}


def _listed(schedule: Schedule) -> dict[str, Any]:
    when = schedule.when
    return {
        "name": schedule.name,
        "use_case": schedule.use_case,
        "pipeline": schedule.pipeline,
        "when": when.cron if when.kind == "cron" else f"new snapshots, {when.min_rows:,} rows or more",
        "enabled": schedule.enabled,
        "recurring_run": schedule.recurring_run,
        "on_the_cluster": "by lakeloop trigger" if when.kind == "snapshots" else "unknown",
    }


def _changes_by_name(settings: Settings, wanted: tuple[Recurring, ...]) -> dict[str, str]:
    from lakeloop.domain.schedule import plan_changes

    texts = {"keep": "yes", "create": "missing", "replace": "differs", "delete": "twice"}
    changes = plan_changes(wanted, _schedules(settings).known())
    return {c.name: texts.get(c.action, c.action) for c in changes}


def _wanted(names: list[str] | None) -> tuple[Settings, tuple[Recurring, ...]]:
    from lakeloop.cli.pipeline_files import committed_pipeline
    from lakeloop.domain.errors import UserError
    from lakeloop.runners.cluster.scheduling import recurring_of
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case
    from lakeloop.use_case_files.schedules import load_schedules, schedule_folder

    settings, declared = Settings(), load_schedules()
    unknown = sorted(set(names or []) - {one.name for one in declared})
    if unknown:
        known = ", ".join(one.name for one in declared) or "none"
        raise UserError(f"no schedule {', '.join(unknown)} in {schedule_folder()}", fix=f"there: {known}")
    chosen = [one for one in declared if not names or one.name in names]
    made = [
        recurring_of(
            one, load_use_case(one.use_case), committed_pipeline(one.pipeline), settings.kfp_service_account
        )
        for one in chosen
    ]
    return settings, tuple(one for one in made if one is not None)


def _schedules(settings: Settings) -> Schedules:
    from lakeloop import bootstrap
    from lakeloop.cli.pipeline_files import pipeline_file

    return bootstrap.schedules(settings, pipeline_file)
