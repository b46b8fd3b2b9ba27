"""What `submit`, `follow` and `terminate` share: the service, following a run, telling its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakeloop.ports.pipelines import PipelineService
    from lakeloop.runners.cluster import Followed
    from lakeloop.settings import Settings

STORE_SECONDS = 20.0


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
    """The run's documents; empty where the journal is out of reach, which is found out within `STORE_SECONDS`."""
    from lakeloop import bootstrap
    from lakeloop.cli import output

    found: dict[str, Any] = {}
    problem = _within_limits(lambda: found.update(bootstrap.journal(settings).documents(run_id)))
    if problem:
        output.say(f"the run journal {settings.journal} cannot be read from here: {problem}")
    return dict(found)


def free_of_ended_run(service: PipelineService, settings: Settings, use_case: str) -> str:
    """Release the use case where a run of the service still holds it and has ended; why that failed, if it did."""
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.runners.cluster.ended_claims import free_of_ended
    from lakeloop.runtime.claimant import recorded_by

    def free() -> None:
        ended = free_of_ended(bootstrap.ledger(settings), service, use_case, recorded_by(settings))
        if ended:
            output.say(f"{use_case} is no longer held by run {ended}, which has ended")

    return _within_limits(free)


def _within_limits(work: Callable[[], None]) -> str:
    """Do it in `STORE_SECONDS`; what went wrong, in words: stores need not be reachable from where one submits."""
    problems: list[str] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told by the caller, which does without
            problems.append(str(error))

    doing = threading.Thread(target=guarded, name="store", daemon=True)
    doing.start()
    doing.join(STORE_SECONDS)
    return problems[0] if problems else f"no answer within {STORE_SECONDS:g} s" if doing.is_alive() else ""


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
