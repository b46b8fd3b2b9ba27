"""`lakeloop replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.replay import ColumnChange, Compared, Replay
    from lakeloop.runners.process import RunResult
    from lakeloop.settings import Settings

NAMED_CODES = frozenset({2, 3, 4})  # lakeloop.domain.errors; docs/cli.md
LONGEST_LIST = 20

Version = Annotated[str, typer.Argument(metavar="VERSION", help="Model version, e.g. 5.")]
From = Annotated[
    str,
    typer.Option(
        "--from", metavar="source|features", help="Compute the features again, or take the pinned ones."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    use_case: UseCaseArgument, version: Version, *, source: From = "source", json: Json = False
) -> None:
    """Make a version a second time from its lineage; the same bytes, or what differs.

    Takes the use case, rows, seed and parameters from the version's record, computes the features again from the
    pinned source snapshots, trains, and compares rows, booster and metrics. Works in a scratch table that goes
    afterwards; registers, promotes and publishes nothing. Runs pipelines/replay/pipeline.yaml on this machine.
    Leaves with 0 when identical, 1 when not, 4 when the data behind the version is gone.

    \b
      lakeloop replay card_fraud 5
      lakeloop replay card_fraud 5 --from features
      lakeloop replay card_fraud 5 --json | jq '.differences'
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.cli.failing import failed_run
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.replay import Replay
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    if source not in {"source", "features"}:
        raise UserError(f"{source!r} is nothing to replay from", where="--from", fix="use source or features")
    loaded, settings = load_use_case(use_case), Settings()
    arguments = {"use_case": loaded.model_dump_json(), "version": version, "source": source}
    again = f"{output.program()} replay {use_case} {version}"
    result = _run(settings, arguments, again)
    document = bootstrap.journal(settings).documents(result.run_id).get("replay")
    code = _exit_code(result)
    error = failed_run(result, code, f"{again}, when that is mended")
    if json:
        output.as_json({"run_id": result.run_id, "exit_code": code, **error, **(document or {})})
    elif document is not None:
        for line in replay_lines(Replay.model_validate(document)):
            output.data(line)
    else:
        problem = error["error"]["problem"] if error else result.state
        output.data(f"{loaded.name}: version {version} was not replayed: {problem}")
    raise typer.Exit(code)


def _run(settings: Settings, arguments: dict[str, str], again: str) -> RunResult:
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.cli.task_environment import task_environment
    from lakeloop.runners.process import RunOptions, default_listener, run_pipeline

    pipeline = pipeline_file("replay")
    options = RunOptions(
        runs_dir=settings.runs_folder,
        project_root=pipeline.parents[2],
        listener=default_listener(),
        env=task_environment(settings, Path.cwd()),
        resume_command=again,
    )
    return run_pipeline(pipeline, arguments, options)


def _exit_code(result: RunResult) -> int:
    """The step's own code where it has a meaning, else the run's."""
    own = [task.exit_code for task in result.tasks.values() if task.state == "failed"]
    named = [code for code in own if code in NAMED_CODES]
    return named[0] if result.exit_code == 1 and named else result.exit_code


def replay_lines(found: Replay) -> list[str]:
    """The replay as text."""
    from lakeloop.domain.replay import causes

    range_ = found.range
    rows = [
        (
            "range",
            f"({range_.from_snapshot_id or 'the first row'}, {range_.to_snapshot_id}] of {range_.table}",
        ),
        ("rows", f"{found.rows:,}, rebuilt from {found.source}: {_same(found.data_digest)}"),
        ("booster", f"{_same(found.booster_sha256)}, sha256 {found.booster_sha256.now}"),
        *(("metric", f"{name} {_number(value)}") for name, value in found.metrics.items()),
        *(("differs", difference.told()) for difference in found.differences[:LONGEST_LIST]),
        *(("rows differ", _change(change)) for change in found.changes[:LONGEST_LIST]),
        *(("probably", text) for text in causes(found)),
        *(
            ("environment", f"{difference.told()}{_harmless(found)}")
            for difference in found.environment[:LONGEST_LIST]
        ),
        *(("note", note) for note in found.notes),
    ]
    if found.max_score_difference is not None:
        rows.insert(3, ("scores", f"differ by {found.max_score_difference:.3g} at most, on the holdout"))
    head = f"{found.use_case}: version {found.version} {_outcome(found)} ({found.seconds:.1f} s)"
    return [head, *(f"  {label:<11} {text}" for label, text in rows)]


def _outcome(found: Replay) -> str:
    return "came out identical" if found.outcome == "identical" else "DIFFERS from its record"


def _harmless(found: Replay) -> str:
    return "; it made no difference" if found.outcome == "identical" else ""


def _same(value: Compared) -> str:
    if value.recorded is None or value.now is None:
        return "not compared"
    return "identical" if value.recorded == value.now else f"differs, {value.recorded} recorded"


def _number(value: Compared) -> str:
    if not isinstance(value.recorded, float) or not isinstance(value.now, float):
        return f"{value.now}, none recorded"
    if value.recorded == value.now:
        return f"{value.now:.6f}, as recorded"
    return f"{value.now:.6f}, {value.recorded:.6f} recorded: {value.now - value.recorded:+.3g}"


def _change(change: ColumnChange) -> str:
    what = "rows" if change.column == "*" else f"values of {change.column}"
    return f"{change.different:,} {what} of the {change.rows} range; {change.example}"
