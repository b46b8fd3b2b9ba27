"""Predictions tracked inside a workbench model: read back, logged once, completed by what came true."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lakeloop.adapters.cai.metrics import CaiPredictionMetrics
from lakeloop.adapters.iceberg.prediction_metrics import LoggedPredictionMetrics
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.tracked import window_metrics
from lakeloop.settings import Settings
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import api_of, emulated
from tests.fakes.models import ROWS, SNAPSHOT, model_folder
from tests.faults.test_workbench_calls import ENDPOINT, deployer_of, roll_out

SESSION = Path(__file__).parents[2] / "emulators" / "cai" / "session"
ALWAYS = (0, 2**42)


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("CAI_METRICS_FILE", str(tmp_path / "metrics.jsonl"))
    monkeypatch.syspath_prepend(str(SESSION))
    with emulated(tmp_path / "workbench") as found:
        yield found
    for name in [n for n in sys.modules if n.partition(".")[0] == "cml"]:
        del sys.modules[name]


def asked(emulator: Emulator, columns: list[str], data: list[list[object]]) -> list[dict[str, object]]:
    """As any caller asks."""
    (model,) = emulator.workbench.models.values()
    request = {"dataframe_split": {"columns": columns, "data": data}}
    answer = httpx.post(
        emulator.model_service_url,
        json={"accessKey": model["access_key"], "request": request},
        headers={"authorization": f"Bearer {emulator.workbench.application_key}"},
        trust_env=False,
    ).json()
    records: list[dict[str, object]] = answer["response"]["prediction"]
    return records


def test_predictions_are_tracked_logged_once_and_completed(emulator: Emulator, tmp_path: Path) -> None:
    deployer = deployer_of(emulator, model_from="project_files", metrics=True)
    version = model_folder(tmp_path / "model", seed=1)
    roll_out(deployer, version)
    metrics = CaiPredictionMetrics(api_of(emulator), [ENDPOINT])
    assert {p.purpose for p in metrics.read(*ALWAYS)} == {"proof"}

    records = asked(emulator, ["lakeloop_row"], [[json.dumps(row)] for row in ROWS])
    plain = asked(emulator, list(ROWS[0]), [list(ROWS[0].values())])
    log = LoggedPredictionMetrics(IcebergRowLog(Settings(home=tmp_path)), "fraud")
    tracked = metrics.read(*ALWAYS)
    assert log.keep(tracked) == len(tracked)
    assert log.keep(metrics.read(*ALWAYS)) == 0
    logged = {p.prediction_id: p for p in log.read(*ALWAYS) if not p.purpose}
    assert list(logged) == [p.prediction_id for p in tracked if not p.purpose]
    ids = [str(record["prediction_id"]) for record in records]
    mine = [logged[id_] for id_ in ids]
    assert len(logged) == len(ROWS) + 1
    assert [p.score for p in mine] == pytest.approx([record["score"] for record in records])
    digest = version.identity.model_digest
    assert {(p.model_version, p.snapshot_id, p.model_digest) for p in mine} == {("1", SNAPSHOT, digest)}
    assert [json.loads(p.row) for p in mine] == ROWS
    assert json.loads(logged[str(plain[0]["prediction_id"])].row) == ROWS[0]
    assert [p.decision for p in mine] == [p.score >= 0.5 for p in mine]

    truths = {ids[0]: True, ids[1]: False, "of nobody": True}
    assert metrics.tell_truths(truths, *ALWAYS) == 1
    assert metrics.tell_truths(truths, *ALWAYS) == 0
    assert metrics.tell_truths({ids[2]: True}, *ALWAYS) == 1
    completed = {p.prediction_id: p for p in metrics.read(*ALWAYS)}
    assert [completed[id_].truth for id_ in ids] == [True, False, True]
    window = [completed[id_] for id_ in ids]
    brier = sum((p.score - float(bool(p.truth))) ** 2 for p in window) / 3
    assert window_metrics(window)["brier"] == pytest.approx(brier)


def test_outside_a_workbench_the_error_says_so(tmp_path: Path) -> None:
    with emulated(tmp_path) as emulator:
        emulator.workbench.create_model({"name": ENDPOINT})
        with pytest.raises(UserError, match=r"cml\.metrics_v1 is not here"):
            CaiPredictionMetrics(api_of(emulator), [ENDPOINT]).read(*ALWAYS)


def test_metrics_that_do_not_answer_are_named(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.workbench.create_model({"name": ENDPOINT})
    from cml import metrics_v1

    def away(**_: object) -> object:
        raise ConnectionError("model metrics are not enabled")

    monkeypatch.setattr(metrics_v1, "read_metrics", away)
    with pytest.raises(
        LakeloopError, match=r"cml\.metrics_v1\.read_metrics failed: ConnectionError: model metrics are"
    ):
        CaiPredictionMetrics(api_of(emulator), [ENDPOINT]).read(*ALWAYS)
