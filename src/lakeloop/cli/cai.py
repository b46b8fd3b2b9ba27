"""`lakeloop cai`: the three jobs of a use case in a Cloudera AI workbench, as code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.use_case import UseCase

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Show what would change, and change nothing.")]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME=VALUE",
        help="Of the jobs, e.g. DBNAME, STORAGE, CONNECTION_NAME; over deployment.cai.jobs.environment.",
    ),
]
Rows = Annotated[int | None, typer.Option(min=1, help="Synthetic source: rows of this batch.")]
Plant = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND[:COLUMN]=AMOUNT", help="Synthetic source: put a fault into this batch; repeatable."
    ),
]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for all three jobs.")]

commands = typer.Typer(
    help="New Batch, Retrain XGBoost, API Redeployment: jobs of a Cloudera AI project.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="cai")


@commands.command()
def apply(
    use_case: UseCaseArgument,
    env: Variables = None,
    plan: PlanOnly = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Create or update the three jobs of a use case in the project.

    Shows what will change before anything does; applied again, nothing changes. Run it in a session of the
    project, where the jobs' scripts are written as well.

    \b
      lakeloop cai apply card_fraud --env DBNAME=bank --env STORAGE=s3a://lake --env CONNECTION_NAME=spark
      lakeloop cai apply card_fraud --plan
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import cai_jobs, output

    board, loaded = cai_jobs.board(), _loaded(use_case, env)
    changes = cai_jobs.planned(board, loaded)
    lines = cai_jobs.plan_lines(changes)
    done = False
    if not json:
        for line in lines:
            output.data(line)
    if not plan:
        if any(change.action != "keep" for change in changes):
            _confirm("Apply this?", yes=yes)
        for path in cai_jobs.place_scripts(board):
            output.say(f"wrote {path}")
        cai_jobs.carry_out(board, changes, output.say)
        done = True
    if json:
        output.as_json({"applied": done, "changes": [change.model_dump(mode="json") for change in changes]})


@commands.command()
def run(
    use_case: UseCaseArgument,
    rows: Rows = None,
    plant: Plant = None,
    follow: Follow = True,
    json: Json = False,
) -> None:
    """Start New Batch; the other two jobs follow it by themselves.

    Waits for all three, unless told not to, and leaves with 1 where one of them fails.

    \b
      lakeloop cai run card_fraud
      lakeloop cai run card_fraud --rows 50000 --no-follow
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import cai_jobs, output
    from lakeloop.cli.run import batch_options

    board, loaded = cai_jobs.board(), _loaded(use_case, None)
    options = batch_options(loaded, rows, None, plant or [])
    runs = cai_jobs.run(board, loaded, options, output.say, follow=follow)
    if json:
        output.as_json([{"job": name, **found.model_dump(mode="json")} for name, found in runs])
    else:
        for name, found in runs:
            output.data(f"{name}: {found.status}")
    if follow and any(found.status != "succeeded" for _, found in runs):
        raise typer.Exit(1)


@commands.command()
def status(use_case: UseCaseArgument, json: Json = False) -> None:
    """Show the jobs, their last runs, and what the endpoint serves.

    \b
      lakeloop cai status card_fraud
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import cai_jobs, output

    state = cai_jobs.state_of(cai_jobs.board(), _loaded(use_case, None))
    if json:
        output.as_json(state)
        return
    for line in cai_jobs.state_lines(state):
        output.data(line)


@commands.command()
def history(use_case: UseCaseArgument, json: Json = False) -> None:
    """Show every run of the three jobs, oldest first; `lakeloop history` tells what became of the data.

    \b
      lakeloop cai history card_fraud
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import cai_jobs, output

    found = cai_jobs.history(cai_jobs.board(), _loaded(use_case, None))
    if json:
        output.as_json([{"job": name, **run_.model_dump(mode="json")} for name, run_ in found])
        return
    for line in cai_jobs.history_lines(found):
        output.data(line)


@commands.command()
def destroy(use_case: UseCaseArgument, yes: Yes = False, endpoint: bool = False) -> None:
    """Remove the three jobs, and with --endpoint stop the endpoint too. Tables, runs and models stay.

    \b
      lakeloop cai destroy card_fraud
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import cai_jobs, output

    board, loaded = cai_jobs.board(), _loaded(use_case, None)
    found = cai_jobs.existing(board, loaded)
    for job in found:
        output.data(f"- {job.spec.name}")
    if endpoint:
        output.data(f"- what answers at endpoint {loaded.endpoint}")
    if not found and not endpoint:
        output.say("there are no such jobs: nothing to remove")
        return
    _confirm("Remove this?", yes=yes)
    cai_jobs.destroy(board, loaded, output.say, endpoint=endpoint)


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True)


def _loaded(use_case: str, env: list[str] | None) -> UseCase:
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.use_case import UseCase
    from lakeloop.use_case_files import load_use_case

    loaded = load_use_case(use_case)
    pairs = [item.partition("=") for item in env or []]
    wrong = [name for name, equals, _ in pairs if not equals or not name]
    if wrong:
        raise UserError(f"--env {wrong[0]!r} is not NAME=VALUE", where="the options", fix="e.g. DBNAME=bank")
    if not pairs:
        return loaded
    document = loaded.model_dump(mode="json")
    document["deployment"]["cai"]["jobs"]["environment"] |= {name: value for name, _, value in pairs}
    return UseCase.model_validate(document)
