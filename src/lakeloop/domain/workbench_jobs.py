"""The three jobs of a use case in a workbench: what they should be, and what has to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.use_case import UseCase

Stage = Literal["new_batch", "retrain", "redeploy"]
STAGES: tuple[Stage, ...] = ("new_batch", "retrain", "redeploy")
TITLES: dict[Stage, str] = {
    "new_batch": "New Batch",
    "retrain": "Retrain XGBoost",
    "redeploy": "API Redeployment",
}
HELD_BEFORE: dict[Stage, frozenset[str]] = {
    "new_batch": frozenset({"build-training-set"}),
    "retrain": frozenset({"redeploy-endpoint"}),
    "redeploy": frozenset(),
}
"""Task of the retrain pipeline before which a stage's job ends; the next job goes on with it."""
SCRIPTS_FOLDER = "lakeloop_jobs"
USE_CASE_VARIABLE = "LAKELOOP_JOB_USE_CASE"
BATCH_VARIABLE = "LAKELOOP_JOB_BATCH_OPTIONS"
HANDOVER = "workbench_job"
"""Document in the run journal: which job has to go on with a run."""


class JobSpec(Frozen):
    """A job as it should be, or as it is."""

    name: str
    script: str
    parent: str = Field(default="", description="Name of the job that it follows.")
    cpu: float
    memory_gib: float
    gpus: int = 0
    resource_profile_id: int | None = None
    resource_group_id: int | None = None
    schedule: str = ""
    timezone: str = "UTC"
    timeout_seconds: int
    runtime_identifier: str
    runtime_addons: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)


class Job(Frozen):
    """A job of the project."""

    job_id: str
    spec: JobSpec


class JobRun(Frozen):
    """A run of a job."""

    run_id: str
    job_id: str
    status: str
    created_at: str = ""
    running_at: str = ""
    finished_at: str = ""

    @property
    def ended(self) -> bool:
        """Whether it goes on no more."""
        return self.status in {"stopped", "succeeded", "failed", "timedout", "skipped"}


class JobChange(Frozen):
    """What `apply` does to one job."""

    action: Literal["create", "update", "keep"]
    spec: JobSpec
    job_id: str = ""
    differences: tuple[str, ...] = Field(default=(), description="`field: before -> after`.")


def job_names(use_case: UseCase) -> dict[Stage, str]:
    """Names of the three jobs."""
    suffix = use_case.deployment.cai.jobs.name_suffix or use_case.name
    return {stage: f"{TITLES[stage]} {suffix}" for stage in STAGES}


def desired_jobs(use_case: UseCase, runtime_identifier: str) -> tuple[JobSpec, ...]:
    """The three jobs, each after the one before."""
    cai, names = use_case.deployment.cai, job_names(use_case)
    jobs, parent = cai.jobs, ""
    found: list[JobSpec] = []
    for stage in STAGES:
        resources = jobs.resources
        found.append(
            JobSpec(
                name=names[stage],
                script=f"{SCRIPTS_FOLDER}/{stage}.py",
                parent=parent,
                cpu=resources.cpu,
                memory_gib=resources.memory_gib,
                gpus=resources.gpus,
                resource_profile_id=resources.resource_profile_id,
                resource_group_id=resources.resource_group_id,
                schedule="" if parent else jobs.schedule.cron,
                timezone=jobs.schedule.timezone,
                timeout_seconds=jobs.timeout_seconds,
                runtime_identifier=runtime_identifier,
                runtime_addons=cai.runtime.addons,
                environment={**jobs.environment, USE_CASE_VARIABLE: use_case.canonical_json()},
            )
        )
        parent = names[stage]
    return tuple(found)


def scripts() -> dict[str, str]:
    """Text of each job's script, by path in the project."""
    return {f"{SCRIPTS_FOLDER}/{stage}.py": _script(stage) for stage in STAGES}


def _script(stage: Stage) -> str:
    # A job's kernel counts every SystemExit as a failure, and gives arguments that nobody asked for.
    return (
        f'"""{TITLES[stage]}: a job of lakeloop; written by `lakeloop cai apply`."""\n\n'
        f'from lakeloop.cli.workbench_job import run_job\n\nrun_job("{stage}")\n'
    )


def plan_jobs(desired: Sequence[JobSpec], existing: Iterable[Job]) -> tuple[JobChange, ...]:
    """What makes the existing jobs the desired ones. Of several jobs with one name the first counts."""
    by_name: dict[str, Job] = {}
    for job in existing:
        by_name.setdefault(job.spec.name, job)
    return tuple(_change(spec, by_name.get(spec.name)) for spec in desired)


def _change(spec: JobSpec, job: Job | None) -> JobChange:
    if job is None:
        return JobChange(action="create", spec=spec)
    found = tuple(differences(job.spec, spec))
    return JobChange(action="update" if found else "keep", spec=spec, job_id=job.job_id, differences=found)


def differences(before: JobSpec, after: JobSpec) -> list[str]:
    """`field: before -> after` for each field; of the environment only the variables that change.

    A profile says cpu and memory by itself, and a time zone matters only to a schedule.
    """
    told: list[str] = []
    unasked = {"cpu", "memory_gib"} if after.resource_profile_id is not None else set()
    unasked |= set() if after.schedule else {"timezone"}
    for name in (field for field in JobSpec.model_fields if field not in unasked):
        old, new = getattr(before, name), getattr(after, name)
        if name == "environment":
            changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            told += [
                f"environment.{key}: {_brief(old.get(key))} -> {_brief(new.get(key))}" for key in changed
            ]
        elif old != new:
            told.append(f"{name}: {old!r} -> {new!r}")
    return told


def _brief(value: str | None) -> str:
    if value is None:
        return "unset"
    return repr(value) if len(value) <= 40 else f"{len(value)} characters"  # noqa: PLR2004


def waiting_runs(stage: Stage, use_case: str, documents: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Pipeline runs that this job has to go on with, oldest first.

    A run that failed is tried again only while nothing newer exists: what came after it has taken its
    snapshots over.

    Args:
        stage: of the job.
        use_case: its name.
        documents: pipeline run id -> its document `HANDOVER`, oldest run first.
    """
    own = {run: doc for run, doc in documents.items() if doc.get("use_case") == use_case}
    last = next(reversed(own), None)
    waiting = [run for run, doc in own.items() if doc.get("next") == stage]
    return tuple(run for run in waiting if not own[run].get("failed") or run == last)


def in_database(use_case: UseCase, database: str) -> UseCase:
    """The use case with its table in this database (the labs' DBNAME); unchanged where none is named."""
    if not database:
        return use_case
    name = f"{database}.{use_case.table.name.rsplit('.', 1)[-1]}"
    table = use_case.table.model_copy(update={"name": name})
    return UseCase.model_validate(use_case.model_copy(update={"table": table}).model_dump(mode="json"))
