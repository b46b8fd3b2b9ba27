"""Closes the run: reads its documents, writes the page, keeps it beside the model's MLflow run."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from components.report_run.core import describe_run, file_name, mlflow_run_id
from lakeloop import bootstrap
from lakeloop.domain.errors import LakeloopError
from lakeloop.reporting.page import render
from lakeloop.reporting.status import parse_status
from lakeloop.runtime.claimant import claimant_of
from lakeloop.runtime.step import Step, progress, run_step


def report_run(step: Step) -> None:
    """Free the use case, write the report artifact, the copy in the home folder, and the MLflow artifact."""
    settings = step.settings
    _release(step)
    documents = bootstrap.journal(settings).documents(step.pipeline_run_id)
    made_at = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    run = describe_run(
        step.pipeline_run_id, step.use_case, documents, step.arguments["status"], settings.catalog_name
    )
    page = render(run, made_at)
    for error in page.errors:
        _complain(f"a section of the report could not be made: {error}")
    step.write("report_path", page.html)
    step.publish("report", {"outcome": page.outcome.kind, "headline": page.outcome.headline})
    copy = _copy(step, page.html)
    _log(step, copy, mlflow_run_id(documents))
    progress(page.outcome.headline)
    print(f"report: {copy}", flush=True)  # noqa: T201


def _release(step: Step) -> None:
    """A run that ended without an outcome holds its use case no longer; else its lease would run out."""
    state = parse_status(step.arguments["status"]).state
    try:
        claimant_of(step).release(f"the run has ended: {state.lower()}")
    except LakeloopError as error:
        _complain(f"the use case was not released, its claim runs out by itself: {error}")


def _copy(step: Step, html: str) -> Path:
    """A copy with a telling name: in the home folder, or on a cluster in the pod's own."""
    local = step.settings.journal.startswith("file:")
    folder = step.settings.root / "reports" if local else Path(tempfile.mkdtemp(prefix="lakeloop-report-"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(step.pipeline_run_id)
    path.write_text(html, encoding="utf-8")
    return path


def _log(step: Step, path: Path, run_id: str | None) -> None:
    """Into MLflow; a tracking server that is away costs the copy there, not the run."""
    if run_id is None:
        return
    try:
        bootstrap.run_tracker(step.settings).log_file(run_id, path, "report")
    except Exception as error:  # noqa: BLE001 - shown; what the run did stays true without this copy
        _complain(f"the report could not be added to MLflow run {run_id}: {error}")


def _complain(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    run_step("report_run", ["status", "report_path"], report_run)
