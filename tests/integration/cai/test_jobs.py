"""Jobs as code on an emulated workbench: the plan, applying twice, runs and their children, faults at every call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeloop.adapters.cai.job_board import CaiJobBoard
from lakeloop.cli import cai_jobs
from lakeloop.domain.batch import BatchOptions
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.workbench_jobs import (
    HELD_BEFORE,
    JobSpec,
    desired_jobs,
    in_database,
    plan_jobs,
    waiting_runs,
)
from lakeloop.use_case_files import load_use_case
from tests.emulators.cai.faults import Fault
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import api_of, emulated

PROJECT = Path(__file__).parents[3]
SCRIPT = "print('done')\n"


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    loaded = load_use_case(str(PROJECT / "conf" / "use_cases" / "card_fraud.yaml"))
    document = loaded.model_dump(mode="json")
    document["deployment"]["cai"]["jobs"]["environment"] = {"DBNAME": "bank", "STORAGE": "s3a://lake"}
    return UseCase.model_validate(document)


@pytest.fixture(params=[False, True], ids=["environment as text", "environment as object"])
def emulator(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with emulated(tmp_path, environment_as_map=request.param) as found:
        found.hang_seconds = 0.5
        yield found
        assert found.refused == []


def apply(emulator: Emulator, use_case: UseCase) -> list[str]:
    board = CaiJobBoard(api_of(emulator))
    changes = cai_jobs.planned(board, use_case)
    board.place_scripts({spec.script: SCRIPT for spec in specs(board, use_case)})
    cai_jobs.carry_out(board, changes, lambda _: None)
    return cai_jobs.plan_lines(changes)


def specs(board: CaiJobBoard, use_case: UseCase) -> tuple[JobSpec, ...]:
    return desired_jobs(use_case, board.runtime(use_case.deployment.cai.runtime))


def changed(use_case: UseCase, **jobs: object) -> UseCase:
    document = use_case.model_dump(mode="json")
    document["deployment"]["cai"]["jobs"] |= jobs
    return UseCase.model_validate(document)


def test_applied_twice_changes_nothing_and_an_edit_changes_what_it_names(
    emulator: Emulator, use_case: UseCase
) -> None:
    assert [line[0] for line in apply(emulator, use_case)] == ["+", "+", "+"]
    jobs = {job["name"]: job for job in emulator.jobs.jobs.values()}
    new_batch, retrain = jobs["New Batch card_fraud"], jobs["Retrain XGBoost card_fraud"]
    assert (new_batch["cpu"], new_batch["memory"], new_batch["type"]) == (2, 4, "manual")
    assert retrain["parent_id"] == new_batch["id"]
    assert jobs["API Redeployment card_fraud"]["parent_id"] == retrain["id"]
    assert retrain["environment"]["DBNAME"] == "bank"
    writes = emulator.count("CreateJob") + emulator.count("UpdateJob")
    assert [line[0] for line in apply(emulator, use_case)] == ["=", "=", "="]
    assert emulator.count("CreateJob") + emulator.count("UpdateJob") == writes
    by_cron = changed(use_case, schedule={"cron": "0 3 * * *", "timezone": "Europe/Madrid"})
    lines = apply(emulator, by_cron)
    assert "    schedule: '' -> '0 3 * * *'" in lines
    assert new_batch["type"] == "cron"
    assert new_batch["timezone"] == "Europe/Madrid"
    assert new_batch["environment"]["STORAGE"] == "s3a://lake"
    assert not any(line.startswith("+") for line in lines)


def test_a_run_starts_its_children_and_a_failed_one_does_not(emulator: Emulator, use_case: UseCase) -> None:
    board = CaiJobBoard(api_of(emulator))
    with pytest.raises(UserError, match="lakeloop cai apply"):
        cai_jobs.run(board, use_case, BatchOptions(), lambda _: None, follow=True)
    apply(emulator, use_case)
    runs = cai_jobs.run(board, use_case, BatchOptions(rows=7), lambda _: None, follow=True)
    assert [(name.split()[0], run.status) for name, run in runs] == [
        ("New", "succeeded"),
        ("Retrain", "succeeded"),
        ("API", "succeeded"),
    ]
    (first,) = [r for r in emulator.jobs.runs.values() if "LAKELOOP_JOB_BATCH_OPTIONS" in r["environment"]]
    assert '"rows":7' in first["environment"]["LAKELOOP_JOB_BATCH_OPTIONS"]
    # Even SystemExit(0) is a failure in a job's kernel.
    script = emulator.workbench.project_folder / "lakeloop_jobs" / "retrain.py"
    script.write_text("raise SystemExit(0)\n", encoding="utf-8")
    runs = cai_jobs.run(board, use_case, BatchOptions(), lambda _: None, follow=True)
    assert [run.status for _, run in runs] == ["succeeded", "failed"]
    found = cai_jobs.history(board, use_case)
    assert len(found) == 5
    assert [run.created_at for _, run in found] == sorted(run.created_at for _, run in found)
    cai_jobs.destroy(board, use_case, lambda _: None, endpoint=False)
    assert emulator.jobs.jobs == {}


@pytest.mark.parametrize(
    "call", ["ListJobs", "CreateJob", "UpdateJob", "DeleteJob", "CreateJobRun", "ListJobRuns"]
)
def test_one_fault_doubles_no_job_and_no_run(emulator: Emulator, use_case: UseCase, call: str) -> None:
    shapes = [Fault(call, status=s, effect=e) for s in (403, 429, 500) for e in (False, s == 500)]
    shapes += [Fault(call, "timeout", effect=True), Fault(call, "cut"), Fault(call, "cut", effect=True)]
    shapes += [Fault(call, "malformed", effect=True)]
    board = CaiJobBoard(api_of(emulator))
    for number, fault in enumerate(shapes):
        wanted = changed(use_case, timeout_seconds=1000 + number)
        emulator.faults.set[:] = [fault]
        failure: LakeloopError | None = None
        started = ""
        try:
            apply(emulator, wanted)
            started = cai_jobs.existing(board, wanted)[0].job_id
            board.start(started, {})
            cai_jobs.destroy(board, wanted, lambda _: None, endpoint=False)
        except LakeloopError as error:
            failure = error
        emulator.faults.set.clear()
        if failure is not None:
            assert fault.status == 403
            assert "HTTP 403" in str(failure)
            assert call.lower() in str(failure).replace("_", "")
        assert fault in emulator.faults.struck or call == "UpdateJob"
        names = [job["name"] for job in emulator.jobs.jobs.values()]
        assert len(names) == len(set(names))
        runs = [run for run in emulator.jobs.runs.values() if run["job_id"] == started]
        assert len(runs) == 1 or failure is not None
        assert len(runs) <= 1
        for job_id in list(emulator.jobs.jobs):
            emulator.jobs.delete(job_id)
        wait_for_quiet(emulator)


def wait_for_quiet(emulator: Emulator) -> None:
    deadline = time.monotonic() + 30
    while any(r["status"] in {"ENGINE_RUNNING", "ENGINE_STARTING"} for r in emulator.jobs.runs.values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_missing_script_is_named_by_the_workbench(emulator: Emulator, use_case: UseCase) -> None:
    board = CaiJobBoard(api_of(emulator))
    with pytest.raises(
        LakeloopError, match=r"create_job failed: HTTP 400: script 'lakeloop_jobs/new_batch.py'"
    ):
        cai_jobs.carry_out(board, plan_jobs(specs(board, use_case), []), lambda _: None)


def test_a_job_goes_on_with_the_runs_that_wait_for_it_oldest_first_and_never_with_a_failed_old_one() -> None:
    documents = {
        "1": {"use_case": "a", "next": "redeploy", "failed": True},
        "2": {"use_case": "a", "next": "retrain", "failed": False},
        "3": {"use_case": "b", "next": "retrain", "failed": False},
        "4": {"use_case": "a", "next": "retrain", "failed": True},
        "5": {},
    }
    assert waiting_runs("retrain", "a", documents) == ("2", "4")
    assert waiting_runs("redeploy", "a", documents) == ()
    assert waiting_runs("redeploy", "a", {"1": documents["1"]}) == ("1",)


def test_the_labs_database_names_the_table_and_the_jobs_stop_before_steps_that_the_pipeline_has(
    use_case: UseCase,
) -> None:
    moved = in_database(use_case, "hol_paul")
    assert moved.table.name == f"hol_paul.{use_case.table.name.rpartition('.')[2]}"
    assert in_database(use_case, "") == use_case
    pipeline = (PROJECT / "pipelines" / "retrain" / "pipeline.yaml").read_text(encoding="utf-8")
    for names in HELD_BEFORE.values():
        assert all(f"      {name}:" in pipeline for name in names)
