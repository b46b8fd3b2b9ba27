"""The contract of lakeloop.ports.prediction_metrics: the prediction log in Iceberg and in memory, and a workbench."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakeloop.adapters.cai.metrics import CaiPredictionMetrics
from lakeloop.adapters.iceberg.prediction_metrics import LoggedPredictionMetrics
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.local.process import wait_until
from lakeloop.adapters.memory.row_log import MemoryRowLog
from lakeloop.domain.drift import Window
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.tracked import TrackedPrediction
from lakeloop.ports.prediction_metrics import PredictionMetrics
from lakeloop.settings import Settings
from tests.emulators.cai.testing import api_of, emulated
from tests.emulators.cai.workbench import Workbench
from tests.fakes.models import ROWS, SNAPSHOT

SESSION = Path(__file__).parents[1] / "emulators" / "cai" / "session"
NAME = "fraud"
START, END = 1_000, 2_000


@dataclass
class Place:
    """Where predictions are kept, and a served model's way of making some at a time."""

    metrics: PredictionMetrics
    predict: Callable[[str, list[float], int], None]


@pytest.fixture(params=["memory", "iceberg", "workbench"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param != "workbench":
        log = MemoryRowLog() if request.param == "memory" else IcebergRowLog(Settings(home=tmp_path))
        logged = LoggedPredictionMetrics(log, NAME)

        def keep(request: str, scores: list[float], at_ms: int) -> None:
            logged.keep(rows_of(request, scores, at_ms))

        yield Place(logged, keep)
        return
    monkeypatch.setenv("CAI_METRICS_FILE", str(tmp_path / "metrics.jsonl"))
    monkeypatch.syspath_prepend(str(SESSION))
    with emulated(tmp_path / "workbench") as emulator:
        deploy_something(emulator.workbench, NAME)
        yield Place(CaiPredictionMetrics(api_of(emulator), [NAME, "gone"]), tracked)
    for name in [n for n in sys.modules if n.partition(".")[0] == "cml"]:
        del sys.modules[name]


def deploy_something(workbench: Workbench, name: str) -> None:
    """A model that is deployed: spans of time are told of a deployment."""
    model = workbench.create_model({"name": name})
    (workbench.folder / "project" / "predict.py").write_text("def predict(request):\n    return 1\n")
    runtime = workbench.runtimes()[0]["image_identifier"]
    script = {"file_path": "predict.py", "function_name": "predict", "runtime_identifier": runtime}
    build = workbench.create_build(model["id"], script)["id"]
    assert wait_until(lambda: workbench.build(model["id"], build)["status"] == "built", 20)
    made = workbench.create_deployment(model["id"], build, {"cpu": 1, "memory": 2})
    assert wait_until(lambda: workbench.deployment(build, made["id"])["status"] == "deployed", 20)


def rows_of(request: str, scores: list[float], at_ms: int) -> list[TrackedPrediction]:
    return [
        TrackedPrediction(
            prediction_id=f"{request}-{n}",
            request_id=request,
            at_ms=at_ms,
            score=score,
            model_version="3",
            snapshot_id=SNAPSHOT,
            row=json.dumps(ROWS[0]),
        )
        for n, score in enumerate(scores)
    ]


def tracked(request: str, scores: list[float], at_ms: int) -> None:
    """As the script of a deployed model tracks (lakeloop.serving.workbench.script)."""
    from cml import _store

    metrics = {"model_version": "3", "snapshot_id": SNAPSHOT, "scores": scores}
    metrics |= {"prediction_ids": [f"{request}-{n}" for n in range(len(scores))]}
    metrics |= {"rows": [json.dumps(ROWS[0])] * len(scores)}
    _store._append(
        {"predictionUuid": request, "startTimeStampMs": at_ms, "endTimeStampMs": at_ms, "metrics": metrics}
    )


def test_predictions_of_a_span_come_back_oldest_first(place: Place) -> None:
    place.predict("late", [0.9], END)
    place.predict("b", [0.2, 0.4], END - 1)
    place.predict("a", [0.1], START)
    place.predict("early", [0.8], START - 1)
    found = place.metrics.read(START, END)
    assert [(p.prediction_id, p.score, p.at_ms) for p in found] == [
        ("a-0", 0.1, START),
        ("b-0", 0.2, END - 1),
        ("b-1", 0.4, END - 1),
    ]
    assert {(p.model_version, p.snapshot_id, p.row) for p in found} == {("3", SNAPSHOT, json.dumps(ROWS[0]))}
    assert {p.truth for p in found} == {None}


def test_what_came_true_is_joined_and_told_again_changes_nothing(place: Place) -> None:
    place.predict("a", [0.1, 0.9], START)
    truths = {"a-0": False, "a-1": True, "of nobody": True}
    assert place.metrics.tell_truths(truths, START, END)
    assert place.metrics.tell_truths(truths, START, END) == 0
    assert [p.truth for p in place.metrics.read(START, END)] == [False, True]
    # It was a mistake, twice: the last word counts.
    for truth in (True, False):
        assert place.metrics.tell_truths({"a-0": truth}, START, END) == 1
        assert [p.truth for p in place.metrics.read(START, END)] == [truth, True]


def test_a_window_is_kept_once_and_again_when_it_says_something_else(place: Place) -> None:
    place.predict("a", [0.1], START)
    windows = [Window(start_ms=n, end_ms=n + 500, metrics={"predictions": 2.0}) for n in (START, START + 500)]
    assert place.metrics.record_windows(windows) == 2
    assert place.metrics.record_windows(windows) == 0
    more = windows[0].model_copy(update={"metrics": {"predictions": 2.0, "brier": 0.25}})
    assert place.metrics.record_windows([more, windows[1]]) == 1
    assert place.metrics.record_windows([more, windows[1]]) == 0
    assert len(place.metrics.read(START, END)) == 1


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakeloopError, match=r"predictions\.fraud: there is no prediction log"):
        LoggedPredictionMetrics(IcebergRowLog(Settings(home=tmp_path)), NAME).read(START, END)


def test_a_prediction_comes_into_the_log_once_however_often_and_in_whatever_company(tmp_path: Path) -> None:
    log = LoggedPredictionMetrics(IcebergRowLog(Settings(home=tmp_path)), NAME)
    assert log.keep(rows_of("a", [0.1, 0.2], START)) == 2
    many = rows_of("b", [0.5] * 700, START)
    assert log.keep([*rows_of("a", [0.1, 0.2], START), *many, *many[:3]]) == 700
    assert log.keep(many) == 0
    assert len(log.read(START, END)) == 702
