"""`lakeloop tidy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json

if TYPE_CHECKING:
    from lakeloop.domain.tidying import Removal
    from lakeloop.tidying import TidyPlan

Named = Annotated[
    str | None, typer.Argument(metavar="[USE_CASE]", help="Default: all of conf/use_cases, and old runs.")
]
Age = Annotated[str, typer.Option(metavar="AGE", help="Touch nothing younger: 90s, 30m, 12h, 7d.")]
RunsAge = Annotated[str, typer.Option(metavar="AGE", help="The same for run folders and journals.")]

_MOST_LISTED = 50


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tidy)


def tidy(  # noqa: PLR0913, PLR0917 - one option each
    use_case: Named = None,
    older_than: Age = "1d",
    runs_older_than: RunsAge = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go: the default.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it.")] = False,
    json: Json = False,
) -> None:
    """Remove what dead attempts left behind. Shows what would go; --yes removes it.

    Branches and staged snapshots of attempts that never published, files that no snapshot names, tables of
    dead replays, generated files of batches that have landed, folders and journals of old runs. Never anything
    that a branch or tag reaches, nor an endpoint's models; in doubt a thing stays, and is named. Files of
    snapshots that go now are found next time.

    \b
      lakeloop tidy
      lakeloop tidy card_fraud --older-than 6h --yes
      lakeloop tidy --json | jq '.removals[] | select(.kind == "data_file") | .bytes'
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.claiming import now_ms
    from lakeloop.cli import output
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.tidying import age_seconds
    from lakeloop.settings import Settings
    from lakeloop.tidying import carry_out, plan_tidying
    from lakeloop.use_case_files import known_use_cases, load_use_case

    if dry_run and yes:
        raise UserError("--dry-run and --yes exclude each other", where="lakeloop tidy", fix="leave one out")
    settings = Settings()
    # The clocks of who wrote and of who tidies may differ.
    now = now_ms() - int(settings.clock_skew_seconds * 1000)
    cutoff_ms, runs_cutoff_ms = (now - age_seconds(age) * 1000 for age in (older_than, runs_older_than))
    loaded = [load_use_case(name) for name in ([use_case] if use_case else known_use_cases())]
    places = bootstrap.tidying_places(settings)
    plan = plan_tidying(places, loaded, cutoff_ms, None if use_case else runs_cutoff_ms)
    done = carry_out(places, plan, output.say if not json else lambda _: None) if yes else ()
    if json:
        output.as_json({**plan.model_dump(mode="json"), "removed": [r.model_dump(mode="json") for r in done]})
        return
    for line in plan_lines(plan, done, yes=yes):
        output.data(line)


def plan_lines(plan: TidyPlan, done: tuple[Removal, ...], *, yes: bool) -> list[str]:
    """What goes, what stays, and how to go on."""
    from lakeloop.cli.output import table

    rows: list[tuple[Any, ...]] = [(r.kind, r.place, r.name, r.bytes, r.reason) for r in plan.removals]
    lines = table(("what", "where", "name", "bytes", "why"), rows[:_MOST_LISTED]) if rows else []
    lines += (
        [f"... and {len(rows) - _MOST_LISTED} more: --json lists all"] if len(rows) > _MOST_LISTED else []
    )
    lines += [f"left alone: {item.place}: {item.reason}" for item in plan.left]
    size = sum(r.bytes or 0 for r in plan.removals)
    if not rows:
        return [*lines, "nothing to tidy"]
    if yes:
        return [*lines, f"removed {len(done)} of {len(rows)}"]
    return [*lines, f"{len(rows)} would go, {size:,} bytes; nothing was removed yet: --yes removes them"]
