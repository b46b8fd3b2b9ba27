"""`run USE_CASE --resume RUN_ID` goes on with that use case as its file is, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakeloop.cli.resuming import check_resumed
from lakeloop.domain.errors import UserError
from lakeloop.use_case_files import load_use_case

ROOT = Path(__file__).resolve().parents[3]
FRAUD = load_use_case(str(ROOT / "conf" / "use_cases" / "card_fraud.yaml"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)
    written = {"state": "failed", "arguments": {"use_case": FRAUD.model_dump_json()}}
    (folder / "run.json").write_text(json.dumps(written))
    return folder.parent


def check(runs: Path, use_case: object, run_id: str = "r1") -> None:
    check_resumed(use_case, "card_fraud", runs, run_id, "lakeloop")  # type: ignore[arg-type]


def test_the_same_use_case_goes_on_whatever_computes_it(runs: Path) -> None:
    check(runs, FRAUD)
    check(runs, FRAUD.model_copy(update={"engine": "local"}))


def test_another_ones_run_is_refused_and_its_command_named(runs: Path) -> None:
    with pytest.raises(UserError, match="lakeloop run card_fraud --resume r1"):
        check(runs, FRAUD.model_copy(update={"name": "other"}))


def test_a_changed_use_case_starts_a_new_run(runs: Path) -> None:
    train = FRAUD.train.model_copy(update={"rounds": 7})
    with pytest.raises(UserError, match="start a new run"):
        check(runs, FRAUD.model_copy(update={"train": train}))


@pytest.mark.parametrize("run_id", ["no", "../runs/r1"])
def test_what_is_no_run_is_left_to_the_runner(runs: Path, run_id: str) -> None:
    check(runs, FRAUD.model_copy(update={"name": "other"}), run_id)


def test_the_command_asks_first(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakeloop.cli.app import app

    monkeypatch.setenv("LAKELOOP_HOME", str(runs.parent))
    monkeypatch.chdir(ROOT)
    answer = CliRunner().invoke(app, ["run", "cell_towers", "--resume", "r1"])
    assert isinstance(answer.exception, UserError)
    assert "is of use case card_fraud" in str(answer.exception)
