"""A run as a Job: its manifest as data, its states as values, and what its pod runs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.kubernetes_jobs.manifest import SUBMISSION_VARIABLE, job_manifest, job_name
from lakeloop.adapters.kubernetes_jobs.runs import TERMINATED, exit_code, job_run
from lakeloop.cli import main
from lakeloop.domain.remote_run import Submission

AT = dt.datetime(2026, 1, 31, 18, 0, tzinfo=dt.UTC)
SUBMISSION = Submission(
    name="card_fraud-tidy-nightly", experiment="x", pipeline="tidy", arguments={"use_case": "{}"}
)


def test_one_name_is_one_job_whatever_it_holds() -> None:
    assert job_name("card_fraud-tidy-nightly") == job_name("card_fraud-tidy-nightly")
    assert job_name("card_fraud-tidy-nightly") != job_name("card_fraud-tidy-other")
    assert len(job_name("x" * 200)) <= 63


def test_the_job_runs_the_submission_once_and_within_the_restricted_standard() -> None:
    job = job_manifest(SUBMISSION, "lakeloop", "lakeloop/distributed:0.1.0", "lakeloop-steps")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert spec["activeDeadlineSeconds"] > 0
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert Submission.model_validate_json(variables[SUBMISSION_VARIABLE]) == SUBMISSION
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert json.loads(json.dumps(job)) == job


def job(annotations: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    names = {"lakeloop/run": SUBMISSION.name, "lakeloop/pipeline": "tidy", **(annotations or {})}
    return {
        "metadata": {"name": "lakeloop-1", "annotations": names, "creation_timestamp": AT},
        "status": status,
    }


def condition(kind: str, **more: Any) -> dict[str, Any]:
    later = AT + dt.timedelta(seconds=90)
    return {"type": kind, "status": "True", "last_transition_time": later, **more}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (job(), "waiting"),
        (job(active=1, start_time=AT), "running"),
        (job(conditions=[condition("Complete")], start_time=AT), "succeeded"),
        (job(conditions=[condition("Failed", message="BackoffLimitExceeded")]), "failed"),
        (job({TERMINATED: "true"}, conditions=[condition("Failed", message="deadline")]), "cancelled"),
        (job({TERMINATED: "true"}, active=1), "running"),
    ],
)
def test_a_jobs_state(found: dict[str, Any], state: str) -> None:
    run = job_run(found)
    assert (run.state, run.tasks[0].state) == (state, state)
    assert (run.name, run.pipeline) == (SUBMISSION.name, "tidy")
    if state == "succeeded":
        assert (run.ended_at_ms or 0) - run.created_at_ms == 90_000


def test_the_exit_code_is_the_runners_own() -> None:
    statuses = [{"name": "run", "state": {"terminated": {"exit_code": 4}}}]
    assert exit_code({"status": {"container_statuses": statuses}}) == 4
    assert exit_code({"status": {"container_statuses": [{"name": "run", "state": {"running": {}}}]}}) is None
    assert exit_code({"status": {}}) is None


def test_the_pods_command_runs_the_pipeline_and_leaves_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKELOOP_HOME", str(tmp_path))
    monkeypatch.setenv(SUBMISSION_VARIABLE, SUBMISSION.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["lakeloop", "run-submission"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2  # the use case is empty: the step says so
    assert (tmp_path / "runs" / job_name(SUBMISSION.name)).is_dir()
    assert "table: Field required" in capsys.readouterr().err
    monkeypatch.setenv(SUBMISSION_VARIABLE, "nothing")
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
