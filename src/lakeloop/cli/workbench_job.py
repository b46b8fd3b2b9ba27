"""The body of a job in a Cloudera AI workbench: its part of the retrain pipeline, for the runs that wait for it.

New Batch starts a run and leaves it before the training; Retrain goes on with it and leaves it before the redeploy;
API Redeployment ends it. Which runs wait is in the run journal, which snapshots they hold in the ledger: no job ever
takes "the latest". A job's script is this module's `run_job`, called in a notebook's kernel: it never leaves by
SystemExit, and reads no arguments.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.workbench_jobs import (
    BATCH_VARIABLE,
    HANDOVER,
    HELD_BEFORE,
    STAGES,
    USE_CASE_VARIABLE,
    Stage,
    in_database,
    waiting_runs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from lakeloop.domain.use_case import UseCase
    from lakeloop.runners.process import RunOptions, RunResult
    from lakeloop.settings import Settings

PROJECT_FOLDER = "/home/cdsw"


def run_job(stage: Stage) -> None:
    """Do a job's part; returns when it is done, or when there is nothing to do.

    Raises:
        UserError: the job lacks a variable, or its use case is wrong.
        LakeloopError: a run failed; names it.
    """
    from lakeloop.settings import Settings

    adopt_workbench(os.environ)
    use_case = _use_case(os.environ)
    if use_case.deployment.target == "local":  # of a job's pod, which ends with the job
        os.environ.setdefault("LAKELOOP_DEPLOYMENT_TARGET", "cai")
    settings = Settings()
    print(f"{stage} of {use_case.name}, table {use_case.table.name}", flush=True)  # noqa: T201
    if stage == "new_batch":
        _start(use_case, settings)
        return
    _go_on(stage, use_case, settings)


def adopt_workbench(environment: MutableMapping[str, str]) -> None:
    """Fill in where lakeloop's own variables are unset: from the labs' variables and the session's.

    DBNAME is read with the use case. What is set as LAKELOOP_* goes first.

    Args:
        environment: of the process; changed.
    """
    named = {
        "LAKELOOP_HOME": f"{environment.get('LAKELOOP_CAI_PROJECT_FOLDER') or PROJECT_FOLDER}/.lakeloop",
        "LAKELOOP_SPARK_CONNECTION": environment.get("CONNECTION_NAME", ""),
        "LAKELOOP_WAREHOUSE_URI": environment.get("STORAGE", ""),
        "LAKELOOP_MLFLOW_TRACKING_URI": environment.get("MLFLOW_TRACKING_URI", ""),
        "LAKELOOP_PIPELINE_RUN_BY": environment.get("PROJECT_OWNER")
        or environment.get("HADOOP_USER_NAME", ""),
    }
    for name, value in named.items():
        if value and not environment.get(name):
            environment[name] = value


def _use_case(environment: Mapping[str, str]) -> UseCase:
    from lakeloop.runtime.step import parse_use_case

    text = environment.get(USE_CASE_VARIABLE, "")
    if not text:
        raise UserError(
            f"{USE_CASE_VARIABLE} is not set", where="job", fix="make the jobs with `lakeloop cai apply`"
        )
    return in_database(parse_use_case(text), environment.get("DBNAME", ""))


def _start(use_case: UseCase, settings: Settings) -> None:
    from lakeloop.cli.preflight import check_once

    check_once(use_case, settings)
    batch = os.environ.get(BATCH_VARIABLE) or "{}"
    arguments = {"use_case": use_case.model_dump_json(), "batch_options": batch}
    result = _run(use_case, settings, "new_batch", arguments)
    _hand_over(settings, use_case, result, "new_batch")


def _go_on(stage: Stage, use_case: UseCase, settings: Settings) -> None:
    from lakeloop import bootstrap

    journal = bootstrap.journal(settings)
    handovers = {run: journal.documents(run).get(HANDOVER) or {} for run in journal.runs()}
    waiting = waiting_runs(stage, use_case.name, handovers)
    if not waiting:
        print(f"no run of {use_case.name} waits for this job: nothing to do", flush=True)  # noqa: T201
    for run_id in waiting:
        print(f"going on with run {run_id}{_range_of(settings, use_case, run_id)}", flush=True)  # noqa: T201
        result = _run(use_case, settings, stage, {}, resume=run_id)
        _hand_over(settings, use_case, result, stage)


def _range_of(settings: Settings, use_case: UseCase, run_id: str) -> str:
    """The snapshots that the ledger says this run holds."""
    from lakeloop import bootstrap

    events = bootstrap.ledger(settings).events(use_case.name, documents=False)
    held = [event.range for event in events if event.pipeline_run_id == run_id and event.range]
    if not held:
        return ""
    return f", snapshots ({held[-1].from_snapshot_id or 'the first'}, {held[-1].to_snapshot_id}]"


def _run(
    use_case: UseCase, settings: Settings, stage: Stage, arguments: dict[str, Any], resume: str | None = None
) -> RunResult:
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.runners.process import run_pipeline

    # A run ends by the pipeline that it was started with, also where lakeloop was upgraded between two jobs.
    pipeline = pipeline_file("retrain") if resume is None else settings.runs_folder / resume / "pipeline.yaml"
    return run_pipeline(pipeline, arguments, _options(use_case, settings, stage, resume))


def _options(use_case: UseCase, settings: Settings, stage: Stage, resume: str | None) -> RunOptions:
    from lakeloop.cli.pipeline_files import pipeline_file
    from lakeloop.cli.run import WARM_MODULES, WARM_MODULES_LATER
    from lakeloop.cli.task_environment import task_environment
    from lakeloop.runners.process import RunOptions, default_listener

    return RunOptions(
        runs_dir=settings.runs_folder,
        project_root=pipeline_file("retrain").parents[2],
        resume=resume,
        listener=default_listener(),
        preload=WARM_MODULES,
        preload_later=WARM_MODULES_LATER,
        hold_before=HELD_BEFORE[stage],
        env=task_environment(settings, Path.cwd()),
        resume_command=f"the same job again: it goes on with run {{run_id}} of {use_case.name}",
    )


def _hand_over(settings: Settings, use_case: UseCase, result: RunResult, stage: Stage) -> None:
    """Record which job goes on with the run.

    Raises:
        LakeloopError: the run failed.
    """
    from lakeloop import bootstrap

    journal = bootstrap.journal(settings)
    known = journal.documents(result.run_id).get(HANDOVER) or {}
    job_runs = {**known.get("job_runs", {}), stage: os.environ.get("CDSW_ENGINE_ID", "")}
    following = STAGES[STAGES.index(stage) + 1] if result.state == "held" else None
    failed = result.state in {"failed", "cancelled"}
    document = {"use_case": use_case.name, "next": stage if failed else following, "job_runs": job_runs}
    journal.record(result.run_id, HANDOVER, document | {"failed": failed})
    _tell(settings, result)
    if failed:
        errors = "; ".join(task.error for task in result.tasks.values() if task.state == "failed")
        raise LakeloopError(
            f"run {result.run_id} {result.state}: {errors}", where=stage, fix=f"lakeloop logs {result.run_id}"
        )


def _tell(settings: Settings, result: RunResult) -> None:
    from lakeloop import bootstrap
    from lakeloop.cli.summary import summary_lines

    for line in summary_lines(bootstrap.journal(settings).documents(result.run_id)):
        print(line, flush=True)  # noqa: T201
