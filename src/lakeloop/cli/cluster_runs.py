"""What `submit`, `follow` and `terminate` share: the service, following a run, telling its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakeloop.ports.pipelines import PipelineService
    from lakeloop.runners.cluster import Followed
    from lakeloop.settings import Settings

JOURNAL_SECONDS = 20.0


CLUSTER, JOB = "cluster", "kubernetes-job"


def service_of(settings: Settings, on: str = CLUSTER) -> PipelineService:
    """Kubeflow Pipelines, sent the committed pipelines; or Jobs of Kubernetes, which run them.

    Raises:
        UserError: there is no such place.
    """
    from lakeloop import bootstrap
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.domain.errors import UserError

    if on == JOB:
        return bootstrap.job_service(settings)
    if on != CLUSTER:
        raise UserError(
            f"{on!r} is no place to submit to",
            where="--on",
            fix=f"use {CLUSTER} or {JOB}; on this machine it is `lakeloop run`",
        )
    return bootstrap.pipeline_service(settings, pipeline_file)


def follow_and_tell(
    service: PipelineService, settings: Settings, run_id: str, on: str, *, as_json: bool
) -> int:
    """Follow the run, tell how it ended; the exit code."""
    from lakeloop.cli import output
    from lakeloop.runners.cluster import Following, follow
    from lakeloop.runners.process import default_listener

    following = Following(
        service=service,
        listener=default_listener(),
        log_command=lambda task: log_command(run_id, task, on),
        again=f"{output.program()} follow {run_id}{elsewhere(on)}",
        say=output.say,
    )
    try:
        followed = follow(following, run_id)
    except KeyboardInterrupt:
        output.say(f"end it with: {output.program()} terminate {run_id}{elsewhere(on)}")
        return 130
    documents = journal_documents(settings, run_id)
    return _tell(service, followed, documents, on, as_json=as_json)


def elsewhere(on: str) -> str:
    """The option that names another place than the default."""
    return "" if on == CLUSTER else f" --on {on}"


def log_command(run_id: str, task: str, on: str) -> str:
    """Shows a step's whole log."""
    from lakeloop.cli.output import program

    return f"{program()} logs {run_id} --on {on} --step {task}"


def journal_documents(settings: Settings, run_id: str) -> dict[str, Any]:
    """The run's documents; empty where the journal is out of reach, which is found out within `JOURNAL_SECONDS`."""
    from lakeloop.cli import output

    found: dict[str, Any] = {}
    problems: list[str] = []
    reading = threading.Thread(
        target=_read_journal, args=(settings, run_id, found, problems), name="journal", daemon=True
    )
    reading.start()
    reading.join(JOURNAL_SECONDS)
    if reading.is_alive():
        problems.append(f"no answer within {JOURNAL_SECONDS:g} s")
    if problems:
        output.say(f"the run journal {settings.journal} cannot be read from here: {problems[0]}")
    return dict(found)


def _read_journal(settings: Settings, run_id: str, found: dict[str, Any], problems: list[str]) -> None:
    from lakeloop import bootstrap

    try:
        found.update(bootstrap.journal(settings).documents(run_id))
    except Exception as error:  # noqa: BLE001 - told; the run's end is told without the journal then
        problems.append(str(error))


def _tell(
    service: PipelineService, followed: Followed, documents: dict[str, Any], on: str, *, as_json: bool
) -> int:
    from lakeloop.cli import output
    from lakeloop.cli.summary import summary_lines
    from lakeloop.runners.cluster.changes import task_documents
    from lakeloop.runners.cluster.outcome import exit_code, failures

    run, code = followed.run, exit_code(followed, documents)
    if as_json:
        head = {"run_id": run.run_id, "name": run.name, "state": run.state, "exit_code": code}
        failed = [{"step": step, "error": error} for step, error in failures(followed, documents)]
        told = {"link": service.link(run.run_id), "tasks": task_documents(run), "failures": failed}
        output.as_json({**head, **_error(failed, run.state, code), **told, **documents})
        return code
    output.data(f"\n{run.name}: run {run.run_id} {run.state}")
    for line in [
        *summary_lines(documents),
        *_failure_lines(followed, documents),
        *_next(run.run_id, code, on),
    ]:
        output.data(line)
    return code


def _error(failed: list[dict[str, str]], state: str, code: int) -> dict[str, Any]:
    from lakeloop.cli.failing import error_document

    if code == 0:
        return {}
    problem = "; ".join(one["error"] for one in failed) or f"the run was {state}"
    return error_document(problem, where=", ".join(one["step"] for one in failed), exit_code=code)


def _failure_lines(followed: Followed, documents: dict[str, Any]) -> list[str]:
    from lakeloop.runners.cluster.outcome import failures

    return [f"  {'failed':<11} {step}: {error}" for step, error in failures(followed, documents)]


def _next(run_id: str, code: int, on: str) -> list[str]:
    from lakeloop.cli.output import program

    return [f"  {'next':<11} {program()} logs {run_id} --on {on}"] if code else []
