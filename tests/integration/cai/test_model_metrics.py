"""Predictions tracked inside a workbench model, read back, completed by what came true, told of by window."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeloop.adapters.cai.metrics import CaiPredictionMetrics
from lakeloop.domain.errors import UserError
from lakeloop.domain.tracked import window_metrics
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import api_of, emulated
from tests.emulators.cai.worker import OwnProcess
from tests.fakes.models import ROWS, SNAPSHOT, model_folder
from tests.faults.test_workbench_calls import ENDPOINT, deployer_of, roll_out

SESSION = Path(__file__).parents[2] / "emulators" / "cai" / "session"
ALWAYS = (0, 2**62)


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("CAI_METRICS_FILE", str(tmp_path / "metrics.jsonl"))
    monkeypatch.setenv("PYTHONPATH", str(SESSION))
    monkeypatch.syspath_prepend(str(SESSION))
    with emulated(tmp_path / "workbench", worker=OwnProcess) as found:
        yield found
    for name in [n for n in sys.modules if n.partition(".")[0] == "cml"]:
        del sys.modules[name]


def test_predictions_are_tracked_read_back_and_completed(emulator: Emulator, tmp_path: Path) -> None:
    # A process of its own takes seconds to load the model on a busy machine.
    deployer = deployer_of(emulator, model_from="project_files", metrics=True, deploy_timeout_seconds=120)
    roll_out(deployer, model_folder(tmp_path / "model", seed=1))
    metrics = CaiPredictionMetrics(api_of(emulator), ENDPOINT)
    before = len(metrics.read(*ALWAYS))
    answer = deployer.ask(ENDPOINT, ROWS)
    tracked = {p.prediction_id: p for p in metrics.read(*ALWAYS)}
    assert len(tracked) == before + len(ROWS)
    mine = [tracked[id_] for id_ in answer["prediction_ids"]]
    assert [p.score for p in mine] == pytest.approx(answer["scores"])
    assert {(p.model_version, p.snapshot_id, p.request_id) for p in mine} == {
        ("1", SNAPSHOT, mine[0].request_id)
    }
    assert '"amount": 0.7' in mine[0].row

    truths = {answer["prediction_ids"][0]: True, answer["prediction_ids"][1]: False, "of nobody": True}
    assert metrics.tell_truths(truths, *ALWAYS) == 1
    assert metrics.tell_truths(truths, *ALWAYS) == 0
    assert metrics.tell_truths({answer["prediction_ids"][2]: True}, *ALWAYS) == 1
    completed = {p.prediction_id: p for p in metrics.read(*ALWAYS)}
    assert [completed[id_].truth for id_ in answer["prediction_ids"]] == [True, False, True]

    window = [completed[id_] for id_ in answer["prediction_ids"]]
    told = window_metrics(window)
    brier = sum((p.score - float(bool(p.truth))) ** 2 for p in window) / 3
    assert told["brier"] == pytest.approx(brier)
    metrics.record_window(told, 1, 2)
    kept = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert '"modelDeploymentCrn": "crn:cdp:ml' in kept
    assert len(metrics.read(*ALWAYS)) == len(completed)


def test_outside_a_workbench_the_error_says_so(tmp_path: Path) -> None:
    with emulated(tmp_path) as emulator:
        emulator.workbench.create_model({"name": ENDPOINT})
        with pytest.raises(UserError, match=r"cml\.metrics_v1 is not here"):
            CaiPredictionMetrics(api_of(emulator), ENDPOINT).read(*ALWAYS)
