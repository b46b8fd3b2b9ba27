"""The step that closes a run, on a real run journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.report_run.__main__ import report_run
from components.report_run.core import file_name, mlflow_run_id
from lakeloop import bootstrap
from lakeloop.runtime.step import Step
from lakeloop.settings import Settings
from tests.fakes import documents as made


class Tracker:
    """A run tracker that keeps what it is given, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.files: list[tuple[str, str, str]] = []
        self.away = away

    def log_file(self, mlflow_run_id: str, path: Path, folder: str) -> None:
        if self.away:
            raise ConnectionError("no tracking server")
        self.files.append((mlflow_run_id, folder, path.read_text(encoding="utf-8")))


def step(home: Path, documents: dict[str, Any], state: str = "SUCCEEDED") -> Step:
    settings = Settings(home=home)
    for name, document in documents.items():
        bootstrap.journal(settings).record("run-1", name, document)
    outputs = {
        "outputFile": str(home / "executor.json"),
        "artifacts": {"report": {"artifacts": [{"name": "report"}]}},
    }
    arguments = {
        "status": json.dumps({"state": state}),
        "report_path": str(home / "out" / "report"),
        "executor_input": json.dumps({"outputs": outputs}),
    }
    return Step("report_run", "run-1", made.use_case(), settings, arguments)


def test_the_page_is_the_artifact_the_copy_at_home_and_the_mlflow_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = Tracker()
    monkeypatch.setattr(bootstrap, "run_tracker", lambda _: tracker)
    report_run(step(tmp_path, made.promoted()))
    html = (tmp_path / "out" / "report").read_text(encoding="utf-8")
    copy = tmp_path / "reports" / "run-1.html"
    assert "Version 7 is live" in html
    assert copy.read_text(encoding="utf-8") == html
    assert tracker.files == [(made.training().mlflow_run_id, "report", html)]
    assert f"report: {copy}" in capsys.readouterr().out
    kept = json.loads((tmp_path / "executor.json").read_text(encoding="utf-8"))
    assert kept["artifacts"]["report"]["artifacts"][0]["metadata"]["outcome"] == "live"


def test_a_tracking_server_that_is_away_costs_only_the_copy_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "run_tracker", lambda _: Tracker(away=True))
    report_run(step(tmp_path, made.rejected()))
    assert (tmp_path / "reports" / "run-1.html").exists()
    assert "no tracking server" in capsys.readouterr().err


def test_a_run_that_failed_at_once_is_closed_as_a_process_of_its_own(tmp_path: Path) -> None:
    prepared = step(tmp_path, {}, "FAILED")
    given = prepared.arguments
    command = [sys.executable, "-m", "components.report_run", "--pipeline-run-id", "run-1"]
    command += ["--use-case", prepared.use_case.model_dump_json(), "--status", given["status"]]
    command += ["--report-path", given["report_path"], "--executor-input", given["executor_input"]]
    environment = {**os.environ, "LAKELOOP_HOME": str(tmp_path), "PYTHONPROFILEIMPORTTIME": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Failed at step generate_batch." in (tmp_path / "reports" / "run-1.html").read_text(
        encoding="utf-8"
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in ended.stderr.splitlines()}
    assert imported.isdisjoint({"matplotlib", "mlflow", "pandas", "pyspark", "xgboost"})


@pytest.mark.parametrize(
    ("run_id", "name"),
    [("run-1", "run-1.html"), ("../../x", "_.._x.html"), ("", "run.html"), ("a b", "a_b.html")],
)
def test_a_run_id_cannot_leave_the_folder(run_id: str, name: str) -> None:
    assert file_name(run_id) == name


@pytest.mark.parametrize(
    "documents", [{}, {"training": None}, {"training": {"mlflow_run_id": ""}}, {"training": []}]
)
def test_without_a_training_there_is_no_mlflow_run(documents: dict[str, Any]) -> None:
    assert mlflow_run_id(documents) is None
