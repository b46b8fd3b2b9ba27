"""`lakeloop why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.served import Story

Version = Annotated[str, typer.Argument(metavar="VERSION", help="Model version, e.g. 3.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(use_case: UseCaseArgument, version: Version, json: Json = False) -> None:
    """Tell a version's story: its snapshots, verdict, rollouts, and when it served.

    Every line from the ledger, with who and when.

    \b
      lakeloop why card_fraud 3
      lakeloop why card_fraud 3 --json | jq '.verdict.checks'
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.served import story_of, versions
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    name = load_use_case(use_case).name
    events = bootstrap.ledger(Settings()).events(name)
    story = story_of(events, version)
    if story is None:
        known = ", ".join(versions(events)) or "none"
        raise UserError(f"the ledger names no version {version}; it names {known}", where=name)
    if json:
        output.as_json({"use_case": name, **story.model_dump(mode="json")})
        return
    for line in story_lines(name, story):
        output.data(line)


def story_lines(name: str, story: Story) -> list[str]:
    """The story as text."""
    from lakeloop.cli.output import moment, table

    range_ = story.range
    read = (
        f"({range_.from_snapshot_id or 'the first row'}, {range_.to_snapshot_id}] of {range_.table}"
        if range_
        else ""
    )
    parts = [
        ("snapshots", read),
        ("plan", _plan(story.plan)),
        ("MLflow run", story.mlflow_run_id or ""),
        *(("check", text) for text in _checks(story.verdict)),
        *(("rollout", text) for text in _steps(story.rollout)),
        *(
            (
                "served",
                f"from {moment(s.from_ms)} until {moment(s.until_ms) if s.until_ms is not None else 'now'}",
            )
            for s in story.servings
        ),
    ]
    rows = [(moment(e.at_ms), e.kind, e.by, e.pipeline_run_id, e.reason) for e in story.events]
    lines = [f"{name}: version {story.version}", *(f"  {label:<11} {text}" for label, text in parts if text)]
    return [*lines, "", *table(("when (UTC)", "event", "by", "run", "reason"), rows)]


def _plan(plan: dict[str, Any] | None) -> str:
    return f"{plan['action']}: {'; '.join(plan['reasons'])}" if plan else ""


def _checks(verdict: dict[str, Any] | None) -> list[str]:
    checks = (verdict or {}).get("checks") or []
    passed = {True: "passed", False: "FAILED"}
    return [f"{passed[c['passed']]} {c['name']}: {c['observed']} (required: {c['required']})" for c in checks]


def _steps(rollout: dict[str, Any] | None) -> list[str]:
    steps = (rollout or {}).get("steps") or []
    return [f"{s['name']} {'passed' if s['passed'] else 'FAILED'}: {s['detail']}" for s in steps]
