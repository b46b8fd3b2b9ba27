"""`lakeloop check-drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.drift import DriftVerdict
    from lakeloop.domain.use_case import UseCase
    from lakeloop.settings import Settings

From = Annotated[
    str, typer.Option("--source", help="auto, log (the prediction log) or workbench (its model metrics).")
]
Until = Annotated[str, typer.Option(metavar="MOMENT", help="Windows that ended by then.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-drift")(check_drift)


def check_drift(
    use_case: UseCaseArgument, source: From = "auto", until: Until = "now", json: Json = False
) -> None:
    """Compare the champion's predictions, and what came true of them, with its training.

    Whole windows of UTC are summed up and kept; features, scores and outcomes are compared with the limits under
    `drift` in the use case. Drift is no failure: exit code 0. It is 1 where the predictions cannot be read.

    \b
      lakeloop check-drift card_fraud
      lakeloop check-drift card_fraud --json | jq -r .decision
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.domain.errors import LakeloopError
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    verdict = _checked(load_use_case(use_case), Settings(), source, until)
    if json:
        output.as_json(verdict.model_dump(mode="json"))
    else:
        for line in verdict_lines(verdict):
            output.data(line)
    if verdict.decision == "unreachable":
        raise LakeloopError("; ".join(verdict.reasons), where="check-drift")


def _checked(use_case: UseCase, settings: Settings, source: str, until: str) -> DriftVerdict:
    from lakeloop import bootstrap
    from lakeloop.claiming import now_ms
    from lakeloop.cli import output
    from lakeloop.domain.drift import source_of
    from lakeloop.domain.moments import parse_moment
    from lakeloop.serving.drift_check import DriftCheck

    target = bootstrap.deployment_target(settings, use_case)
    wanted = source_of(source, tracks=target == "cai" and use_case.deployment.cai.metrics)
    end_ms = parse_moment(until, now_ms())
    return DriftCheck(settings, use_case, wanted, end_ms, output.say).run()


def verdict_lines(verdict: DriftVerdict) -> list[str]:
    """A verdict for people."""
    from lakeloop.cli.output import table

    version = f" of version {verdict.model_version}" if verdict.model_version else ""
    head = f"{verdict.decision}{version}: {verdict.predictions} predictions, {verdict.truths} outcomes known"
    rows = [
        (c.name, {True: "yes", False: "NO", None: "too few"}[c.passed], f"{c.observed:.4g}", f"{c.limit:.4g}")
        for c in verdict.comparisons
    ]
    lines = [head, *(f"  {reason}" for reason in verdict.reasons)]
    return lines + (table(("compared", "within", "observed", "allowed"), rows) if rows else [])
