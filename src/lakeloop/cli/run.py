"""`lakeloop run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.batch import BatchOptions
    from lakeloop.domain.use_case import UseCase
    from lakeloop.runners.process import RunOptions, RunResult, TaskResult
    from lakeloop.settings import Settings

BAD_INPUT = 2
NAMED_CODES = frozenset({BAD_INPUT, 3, 4})  # lakeloop.domain.errors; docs/cli.md

# What steps import, seconds of a core in each: one warm interpreter does it once for all of them.
WARM_MODULES = ("lakeloop.runtime.step", "lakeloop.planning", "lakeloop.recording", "pyspark.sql", "duckdb")
WARM_MODULES_LATER = (
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "lakeloop.adapters.iceberg.lake",
    "lakeloop.adapters.iceberg.ledger",
    "lakeloop.runtime.light_xgboost",
    "pyarrow.dataset",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "lakeloop.adapters.mlflow.tracker",
    "lakeloop.adapters.mlflow.registry",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "jinja2",
)

Rows = Annotated[int | None, typer.Option(min=1, help="Synthetic source: rows of this batch.")]
Number = Annotated[
    int | None, typer.Option(min=0, help="Synthetic source: which batch; default the next one.")
]
Plant = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND[:COLUMN]=AMOUNT", help="Synthetic source: put a fault into this batch; repeatable."
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(metavar="RUN_ID", help="Go on with a failed run; what finished stays."),
]
NoBatch = Annotated[
    bool, typer.Option("--no-batch", help="Land nothing: train on what the table holds already.")
]
MaxParallel = Annotated[int, typer.Option(min=1, help="Steps at once.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(  # noqa: PLR0913 - a command's signature is its options
    use_case: UseCaseArgument,
    *,
    rows: Rows = None,
    number: Number = None,
    plant: Plant = None,
    no_batch: NoBatch = False,
    resume: Resume = None,
    max_parallel: MaxParallel = 4,
    json: Json = False,
) -> None:
    """Land a batch, train, judge, redeploy.

    Lands the next batch, trains on exactly the new snapshots, and redeploys what the gate lets through. Runs
    the committed pipelines/retrain/pipeline.yaml on this machine, each step a process with a log. A rejected
    model is a successful run: the champion stays. Bad input leaves with 2 before anything is written.

    \b
      lakeloop run card_fraud
      lakeloop run card_fraud --rows 1000000
      lakeloop run card_fraud --plant drift:transaction_amount=1.5 --plant nulls:age=0.1
      lakeloop run my/trips.yaml --resume RUN_ID

    Plants: drift:COLUMN=SHIFT (standard deviations), nulls:COLUMN=FRACTION, out_of_range:COLUMN=FRACTION,
    label_shift=LOGIT, duplicates=FRACTION.
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli.output import program
    from lakeloop.cli.preflight import check_batch, check_once
    from lakeloop.cli.resuming import check_resumed
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    loaded, settings = load_use_case(use_case), Settings()
    options = batch_options(loaded, rows, number, plant or [], land=not no_batch)
    if resume is None:
        if options.land:
            check_batch(loaded, settings)
        check_once(loaded, settings)
    else:
        check_resumed(loaded, use_case, settings.runs_folder, resume, program())
    result = _run_pipeline(loaded, options, run_options(settings, use_case, resume, max_parallel))
    _tell(use_case, settings, result, as_json=json)
    raise typer.Exit(exit_code(result))


def batch_options(
    use_case: UseCase, rows: int | None, number: int | None, plants: list[str], *, land: bool = True
) -> BatchOptions:
    """What the options say about the batch.

    Raises:
        UserError: they do not fit the source, or each other.
    """
    from lakeloop.cli.plants import parse_plants
    from lakeloop.domain.batch import BatchOptions
    from lakeloop.domain.errors import UserError

    if use_case.source.kind != "synthetic" and (rows, number, plants) != (None, None, []):
        raise UserError(
            "--rows, --number and --plant are for a synthetic source",
            where=f"source.kind of {use_case.name} is {use_case.source.kind}",
            fix="leave them out",
        )
    if not land and (rows, number, plants) != (None, None, []):
        raise UserError(
            "--rows, --number and --plant say what to land, --no-batch to land nothing",
            where="the options",
            fix="leave one of them out",
        )
    plants_ = parse_plants(plants, use_case.table.columns)
    return BatchOptions(rows=rows, number=number, plants=plants_, land=land)


def run_options(settings: Settings, use_case: str, resume: str | None, max_parallel: int) -> RunOptions:
    """How the loop runs on this machine."""
    from lakeloop.cli.output import program
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.cli.task_environment import task_environment
    from lakeloop.runners.process import RunOptions, default_listener

    return RunOptions(
        runs_dir=settings.runs_folder,
        # Steps start where `components` lies, so that no folder of that name elsewhere is taken for it.
        project_root=pipeline_file("retrain").parents[2],
        resume=resume,
        max_parallel=max_parallel,
        listener=default_listener(),
        preload=WARM_MODULES,
        preload_later=WARM_MODULES_LATER,
        env=task_environment(settings, Path.cwd()),
        resume_command=f"{program()} run {use_case} --resume {{run_id}}",
    )


def _run_pipeline(use_case: UseCase, batch: BatchOptions, options: RunOptions) -> RunResult:
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.runners.process import run_pipeline

    arguments = {"use_case": use_case.model_dump_json(), "batch_options": batch.canonical_json()}
    if options.resume:
        arguments = {}  # a resumed run keeps the arguments that it was started with
    return run_pipeline(pipeline_file("retrain"), arguments, options)


def _tell(use_case: str, settings: Settings, result: RunResult, *, as_json: bool) -> None:
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.cli.summary import summary_lines

    documents = bootstrap.journal(settings).documents(result.run_id)
    report = settings.root / "reports" / f"{result.run_id}.html"
    if report.is_file():
        documents = {**documents, "report": {"path": str(report)}}
    if as_json:
        output.as_json(_result_document(use_case, result, documents))
        return
    output.data(f"\n{use_case}: run {result.run_id} {result.state}")
    for line in [*summary_lines(documents), *_failures(result), *_next(use_case, result, documents)]:
        output.data(line)


def _result_document(use_case: str, result: RunResult, documents: dict[str, Any]) -> dict[str, Any]:
    from lakeloop.cli.failing import failed_run
    from lakeloop.cli.output import program

    code = exit_code(result)
    again = f"{program()} run {use_case}"
    fix = f"correct it, then: {again}" if code == BAD_INPUT else f"{again} --resume {result.run_id}"
    return {
        "run_id": result.run_id,
        "state": result.state,
        "exit_code": code,
        **failed_run(result, code, fix),
        "tasks": {path: _task_document(task) for path, task in result.tasks.items()},
        **documents,
    }


def _task_document(task: TaskResult) -> dict[str, Any]:
    told = {"state": task.state, "seconds": task.seconds}
    return {**told, "error": task.error, "log": str(task.log_path)} if task.state == "failed" else told


def _failures(result: RunResult) -> list[str]:
    failed = [(path, task) for path, task in result.tasks.items() if task.state == "failed"]
    return [f"  {'failed':<11} {path.rsplit('/', 1)[-1]}: {task.error}" for path, task in failed]


def _next(use_case: str, result: RunResult, documents: dict[str, Any]) -> list[str]:
    """What to do now; how to resume the runner has told."""
    from lakeloop.cli.output import program

    lakeloop = program()
    if exit_code(result) == BAD_INPUT:
        commands = [f"correct what is named above, then: {lakeloop} run {use_case}"]
    elif result.state != "succeeded":
        commands = [f"{lakeloop} logs {result.run_id}"]
    else:
        live = [f"{lakeloop} stop {use_case}"] if "rollout" in documents else []
        commands = [f"{lakeloop} status {use_case}", f"{lakeloop} history {use_case}", *live]
    return [f"  {'next' if i == 0 else '':<11} {command}" for i, command in enumerate(commands)]


def exit_code(result: RunResult) -> int:
    """The run's code; a step that left with a code of its own (3 conflict, 4 refused) hands it on."""
    own = [task.exit_code for task in result.tasks.values() if task.state == "failed"]
    named = [code for code in own if code in NAMED_CODES]
    return named[0] if result.exit_code == 1 and named else result.exit_code
