"""`lakeloop run-submission`: what a Job's pod runs."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command, unlisted."""
    app.command("run-submission", hidden=True)(run_submission)


def run_submission() -> None:
    """Run the submission in LAKELOOP_SUBMISSION on this machine; leaves like `lakeloop run`."""
    import os
    from dataclasses import replace

    from pydantic import ValidationError

    from lakeloop.adapters.kubernetes_jobs.manifest import SUBMISSION_VARIABLE, job_name
    from lakeloop.cli.pipeline_files import committed_pipeline
    from lakeloop.cli.run import exit_code, run_options
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.remote_run import Submission
    from lakeloop.runners.process import run_pipeline
    from lakeloop.settings import Settings

    try:
        submission = Submission.model_validate_json(os.environ.get(SUBMISSION_VARIABLE, ""))
    except ValidationError as error:
        raise UserError(f"no submission: {error}", where=SUBMISSION_VARIABLE) from error
    options = replace(run_options(Settings(), "", None, 4), run_id=job_name(submission.name))
    result = run_pipeline(committed_pipeline(submission.pipeline), dict(submission.arguments), options)
    raise typer.Exit(exit_code(result))
