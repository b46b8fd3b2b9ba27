"""What the commands of `lakeloop cai` do, over the ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.workbench_jobs import (
    BATCH_VARIABLE,
    STAGES,
    Job,
    JobChange,
    JobRun,
    JobSpec,
    desired_jobs,
    job_names,
    plan_jobs,
    scripts,
)

if TYPE_CHECKING:
    from lakeloop.domain.batch import BatchOptions
    from lakeloop.domain.use_case import UseCase
    from lakeloop.ports.deployer import Deployer
    from lakeloop.ports.job_board import JobBoard

Tell = Callable[[str], None]
NamedRun = tuple[str, JobRun]
FOLLOW_SECONDS = 2.0
CHILD_SECONDS = 120.0
"""How long a child may take to appear after its parent has succeeded."""


def board() -> JobBoard:
    """Jobs of the project that the environment names."""
    from lakeloop import bootstrap

    return bootstrap.job_board()


def planned(board: JobBoard, use_case: UseCase) -> tuple[JobChange, ...]:
    """What has to change."""
    desired = desired_jobs(use_case, board.runtime(use_case.deployment.cai.runtime))
    return plan_jobs(desired, existing(board, use_case))


def existing(board: JobBoard, use_case: UseCase) -> list[Job]:
    """The jobs that are there."""
    return board.jobs(list(job_names(use_case).values()))


def place_scripts(board: JobBoard) -> list[str]:
    """Write the jobs' scripts where they differ; the paths written."""
    return board.place_scripts(scripts())


def plan_lines(changes: Sequence[JobChange]) -> list[str]:
    """The plan as text: + new, ~ changed, = as it is."""
    sign = {"create": "+", "update": "~", "keep": "="}
    lines: list[str] = []
    for change in changes:
        lines.append(f"{sign[change.action]} {change.spec.name}  ({_told(change.spec)})")
        lines += [f"    {difference}" for difference in change.differences]
    return lines


def _told(spec: JobSpec) -> str:
    profile = f"profile {spec.resource_profile_id}, " if spec.resource_profile_id else ""
    size = profile or f"{spec.cpu:g} vCPU, {spec.memory_gib:g} GiB, "
    by_cron = f"at {spec.schedule} {spec.timezone}" if spec.schedule else "by hand"
    when = f"after {spec.parent}" if spec.parent else by_cron
    return f"{size}{when}, at most {spec.timeout_seconds} s"


def carry_out(board: JobBoard, changes: Sequence[JobChange], tell: Tell) -> None:
    """Create and update, parents first."""
    for change in changes:
        if change.action == "create":
            tell(f"{change.spec.name}: made as job {board.create(change.spec)}")
        elif change.action == "update":
            board.update(change.job_id, change.spec)
            tell(f"{change.spec.name}: updated")


def run(
    board: JobBoard, use_case: UseCase, options: BatchOptions, tell: Tell, *, follow: bool
) -> list[NamedRun]:
    """Start New Batch; with `follow` wait for the jobs after it, up to the first that does not succeed.

    Raises:
        UserError: the jobs are not there.
        LakeloopError: a job did not start, or did not end within its time limit.
    """
    names = job_names(use_case)
    by_name = {job.spec.name: job for job in existing(board, use_case)}
    missing = [names[stage] for stage in STAGES if names[stage] not in by_name]
    if missing:
        raise UserError(
            f"not there: {', '.join(missing)}",
            where="jobs of the project",
            fix=f"lakeloop cai apply {use_case.name}",
        )
    jobs = [by_name[names[stage]] for stage in STAGES]
    seen = {job.job_id: {found.run_id for found in board.runs(job.job_id)} for job in jobs}
    given = options.canonical_json()
    started = board.start(jobs[0].job_id, {BATCH_VARIABLE: given})
    tell(f"{jobs[0].spec.name}: run {started}")
    if not follow:
        return [(jobs[0].spec.name, _run(board, jobs[0], started))]
    ended: list[NamedRun] = []
    for job in jobs:
        run_id = started if job is jobs[0] else _child(board, job, seen[job.job_id])
        ended.append((job.spec.name, _wait(board, job, run_id, tell)))
        if ended[-1][1].status != "succeeded":
            break
    return ended


def _run(board: JobBoard, job: Job, run_id: str) -> JobRun:
    found = [item for item in board.runs(job.job_id) if item.run_id == run_id]
    if not found:
        raise LakeloopError(f"run {run_id} is not listed", where=job.spec.name, fix="see the workbench")
    return found[0]


def _child(board: JobBoard, job: Job, seen: set[str]) -> str:
    """The run that the workbench started since."""
    deadline = time.monotonic() + CHILD_SECONDS
    while True:
        new = [item for item in board.runs(job.job_id) if item.run_id not in seen]
        if new:
            return new[0].run_id
        if time.monotonic() > deadline:
            raise LakeloopError(
                f"did not start within {CHILD_SECONDS:g} s after the job before it",
                where=job.spec.name,
                fix="see whether it is paused in the workbench",
            )
        time.sleep(_pause())


def _wait(board: JobBoard, job: Job, run_id: str, tell: Tell) -> JobRun:
    deadline = time.monotonic() + job.spec.timeout_seconds + CHILD_SECONDS
    status = ""
    while True:
        found = _run(board, job, run_id)
        if found.status != status:
            tell(f"{job.spec.name}: {found.status}")
        status = found.status
        if found.ended:
            return found
        if time.monotonic() > deadline:
            raise LakeloopError(
                f"run {run_id} is still {status} beyond its time limit",
                where=job.spec.name,
                fix="stop it there",
            )
        time.sleep(_pause())


def _pause() -> float:
    import os

    return FOLLOW_SECONDS * float(os.environ.get("LAKELOOP_CAI_TIME_SCALE") or 1)


def history(board: JobBoard, use_case: UseCase) -> list[NamedRun]:
    """Every run, oldest first."""
    jobs = existing(board, use_case)
    found = [(job.spec.name, item) for job in jobs for item in board.runs(job.job_id)]
    return sorted(found, key=lambda named: named[1].created_at)


def history_lines(found: Sequence[NamedRun]) -> list[str]:
    """One line a run."""
    from lakeloop.cli.output import table

    rows = [
        (item.created_at[:19], name, item.status, item.finished_at[:19], item.run_id) for name, item in found
    ]
    return table(("created (UTC)", "job", "status", "finished (UTC)", "job run"), rows)


def state_of(board: JobBoard, use_case: UseCase) -> dict[str, Any]:
    """Jobs with their last runs, and the endpoint's identity, as JSON values."""
    live = _deployer(use_case).live(use_case.endpoint)
    jobs = []
    for job in existing(board, use_case):
        runs = board.runs(job.job_id)
        last = runs[-1].model_dump(mode="json") if runs else None
        jobs.append({"job_id": job.job_id, "last_run": last, **job.spec.model_dump(mode="json")})
    endpoint = live.model_dump(mode="json") if live else None
    return {"use_case": use_case.name, "jobs": jobs, "endpoint": endpoint}


def state_lines(state: dict[str, Any]) -> list[str]:
    """The state as text."""
    lines = [f"{state['use_case']}"]
    for job in state["jobs"]:
        last = job["last_run"]
        told = f"{last['status']} {last['finished_at'][:19]}".strip() if last else "has not run"
        lines.append(f"  {job['name']}: {told}")
    if not state["jobs"]:
        lines.append(f"  no jobs; next: lakeloop cai apply {state['use_case']}")
    live = state["endpoint"]
    serves = (
        f"serves version {live['version']} of snapshot {live['to_snapshot_id']}" if live else "not running"
    )
    return [*lines, f"  endpoint: {serves}"]


def destroy(board: JobBoard, use_case: UseCase, tell: Tell, *, endpoint: bool) -> None:
    """Remove the jobs, children first."""
    for job in sorted(existing(board, use_case), key=lambda job: -_depth(use_case, job)):
        board.remove(job.job_id)
        tell(f"{job.spec.name}: removed")
    if endpoint and _deployer(use_case).stop(use_case.endpoint):
        tell(f"endpoint {use_case.endpoint}: stopped")


def _deployer(use_case: UseCase) -> Deployer:
    """As the jobs have it: the workbench, where neither use case nor variable names another place."""
    from lakeloop import bootstrap
    from lakeloop.settings import Settings

    settings = Settings()
    if use_case.deployment.target == "local" and not settings.deployment_target:
        settings = settings.model_copy(update={"deployment_target": "cai"})
    return bootstrap.deployer(settings, use_case)


def _depth(use_case: UseCase, job: Job) -> int:
    return list(job_names(use_case).values()).index(job.spec.name)
