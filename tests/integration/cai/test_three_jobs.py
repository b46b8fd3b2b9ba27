"""The labs' three jobs, really run on an emulated workbench: one run of the pipeline, handed from job to job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lakeloop import bootstrap
from lakeloop.adapters.cai.job_board import CaiJobBoard
from lakeloop.cli import cai_jobs
from lakeloop.cli.workbench_job import adopt_workbench
from lakeloop.domain.batch import BatchOptions
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.workbench_jobs import HANDOVER
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case
from tests.emulators.cai.experiments import MlflowExperiments
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import SPEC, api_of, deployer_of, emulated

PROJECT = Path(__file__).parents[3]
ENDPOINT = "card-fraud"


def test_a_session_says_where_things_are_unless_lakeloops_own_variables_do() -> None:
    session = {
        "CONNECTION_NAME": "lake",
        "STORAGE": "s3a://lake",
        "MLFLOW_TRACKING_URI": "cml://localhost",
        "PROJECT_OWNER": "paul",
        "LAKELOOP_WAREHOUSE_URI": "s3a://mine",
    }
    adopt_workbench(session)
    assert session["LAKELOOP_HOME"] == "/home/cdsw/.lakeloop"
    assert session["LAKELOOP_SPARK_CONNECTION"] == "lake"
    assert session["LAKELOOP_WAREHOUSE_URI"] == "s3a://mine"
    assert session["LAKELOOP_MLFLOW_TRACKING_URI"] == "cml://localhost"
    assert session["LAKELOOP_PIPELINE_RUN_BY"] == "paul"


@pytest.mark.slow
def test_the_three_jobs_redeploy_and_a_failing_build_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for left_by_other_tests in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(left_by_other_tests, raising=False)
    home = tmp_path / "workbench" / "project" / ".lakeloop"
    settings = Settings(home=home)
    artifacts = MlflowExperiments(settings.tracking_uri)
    with emulated(tmp_path / "workbench", artifacts=artifacts) as emulator:
        emulator.jobs.session.update(
            {
                "LAKELOOP_CAI_PROJECT_FOLDER": str(emulator.workbench.project_folder),
                "LAKELOOP_CAI_TIME_SCALE": "0.02",
            }
        )
        use_case, board = small_use_case(), CaiJobBoard(api_of(emulator))
        cai_jobs.place_scripts(board)
        cai_jobs.carry_out(board, cai_jobs.planned(board, use_case), lambda _: None)
        assert run(board, use_case, emulator) == ["succeeded", "succeeded", "succeeded"]
        first = serving(emulator)
        assert first["version"] == "1"
        # A step is tried a second time after a failure, and would get through then.
        emulator.workbench.destine("build", "build failed", "build failed")
        assert run(board, use_case, emulator) == ["succeeded", "succeeded", "failed"]
        assert serving(emulator) == first
        check_records(settings, use_case)
        assert emulator.refused == []


def small_use_case() -> UseCase:
    loaded = load_use_case(str(PROJECT / "conf" / "use_cases" / "card_fraud.yaml"))
    document: dict[str, Any] = loaded.model_dump(mode="json")
    document["train"]["rounds"] = 20
    document["gate"] |= {"min_rows": 100, "min_positives": 5, "floor": None, "max_loss": 0.5}
    document["gate"] |= {"slices": [], "max_calibration_error": None, "bootstrap_samples": 100}
    document["deployment"]["cai"]["jobs"]["environment"] = {"DBNAME": "hol"}
    return UseCase.model_validate(document)


def run(board: CaiJobBoard, use_case: UseCase, emulator: Emulator) -> list[str]:
    runs = cai_jobs.run(board, use_case, BatchOptions(rows=4000), lambda _: None, follow=True)
    logs = emulator.workbench.project_folder / ".job-logs"
    for _, job_run in runs:
        print((logs / f"{job_run.run_id}.log").read_text(encoding="utf-8")[-3000:])  # noqa: T201 - for a failure
    return [job_run.status for _, job_run in runs]


def serving(emulator: Emulator) -> dict[str, Any]:
    live = deployer_of(emulator, SPEC).live(ENDPOINT)
    assert live is not None
    return live.model_dump(mode="json")


def check_records(settings: Settings, use_case: UseCase) -> None:
    """Each pipeline run went through all three jobs under one id; the ledger tells both ends, with their ranges."""
    journal = bootstrap.journal(settings)
    first, second = journal.runs()
    handed = [journal.documents(run_id)[HANDOVER] for run_id in (first, second)]
    assert [(doc["next"], doc["failed"]) for doc in handed] == [(None, False), ("redeploy", True)]
    assert all(list(doc["job_runs"]) == ["new_batch", "retrain", "redeploy"] for doc in handed)
    events = bootstrap.ledger(settings).events(use_case.name, documents=False)
    ended = {e.kind: e for e in events if e.kind in {"promoted", "rollout_failed"}}
    assert ended["promoted"].pipeline_run_id == first
    assert ended["rollout_failed"].pipeline_run_id == second
    assert "ended as 'build failed'" in ended["rollout_failed"].reason
    promoted, failed = ended["promoted"].range, ended["rollout_failed"].range
    assert promoted is not None
    assert failed is not None
    assert promoted.table == "hol.card_transactions"
    assert failed.from_snapshot_id == promoted.to_snapshot_id
    assert json.dumps(handed[0])
