"""check_drift on a real feature table, registry and prediction log: what it decides, and what it leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lakeloop import bootstrap
from lakeloop.claiming import now_ms
from lakeloop.cli.app import app
from lakeloop.domain.drift import DriftVerdict
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.tracked import TrackedPrediction
from lakeloop.domain.use_case import UseCase
from lakeloop.serving.batch_champion import champion_of
from tests.contract.test_prediction_metrics import deploy_something
from tests.emulators.cai.testing import emulated
from tests.integration.test_model_steps import Bank, use_case

COUNT = 1_000
SESSION = Path(__file__).parents[1] / "emulators" / "cai" / "session"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    bank = Bank(tmp_path_factory.mktemp("bank"))
    case = use_case()
    bank.round(bank.land(3.0), case)
    registration = bank.register(case)
    bootstrap.model_registry(bank.settings).promote("loans", registration.version, None)
    return bank


def case_of(name: str) -> UseCase:
    drift = {"window_hours": 1, "windows": 3, "min_truths": 200}
    return use_case(drift=drift, deployment={"endpoint": name})


def predict(
    bank: Bank, days_ago: float, moved: float = 0.0, count: int = COUNT, *, truths: bool = False
) -> int:
    """Predictions of the champion, some hours ago; the end of the windows that hold them."""
    end = now_ms() - int(days_ago * 86_400_000)
    end -= end % 3_600_000
    rows, scores, version = _scored(bank, bank.folder / f"model-{end}", moved, count)
    predictions = [
        TrackedPrediction(
            prediction_id=f"{end}-{n}",
            request_id="r",
            at_ms=end - 1 - n * 7_000,
            score=score,
            model_version=version,
            snapshot_id="1",
            row=json.dumps(row),
        )
        for n, (row, score) in enumerate(zip(rows, scores, strict=True))
    ]
    log = bootstrap.logged_predictions(bank.settings, use_case())
    proof = predictions[0].model_copy(update={"prediction_id": f"{end}-proof", "purpose": "proof"})
    other = predictions[0].model_copy(update={"prediction_id": f"{end}-other", "model_version": "99"})
    assert log.keep([*predictions, proof, other]) == count + 2
    if truths:
        rng = np.random.default_rng(5)
        known = {p.prediction_id: bool(rng.random() < p.score) for p in predictions[:300]}
        assert log.tell_truths(known, 0, now_ms()) == 300
    return end


def _scored(
    bank: Bank, folder: Path, moved: float, count: int
) -> tuple[list[dict[str, float]], list[float], str]:
    folder.mkdir()
    model, _ = champion_of(bootstrap.model_registry(bank.settings), "loans", folder)
    rng = np.random.default_rng(9)
    income, debt = rng.uniform(1, 2, count) + moved, rng.uniform(0, 2, count)
    rows = [{"income": float(i), "debt": float(d)} for i, d in zip(income, debt, strict=True)]
    return rows, model.scores(rows), model.identity.version


def check(bank: Bank, case: UseCase, until_ms: int, source: str = "log") -> DriftVerdict:
    place = bank.folder / "drift" / "verdict.json"
    place.unlink(missing_ok=True)
    bank.step(
        "check_drift",
        case,
        source=source,
        until=str(until_ms),
        decision_path=bank.folder / "drift" / "decision.txt",
        verdict_path=place,
    )
    verdict = DriftVerdict.model_validate_json(place.read_text())
    assert (bank.folder / "drift" / "decision.txt").read_text() == verdict.decision
    return verdict


def test_like_the_training_is_steady_and_windows_are_kept_once(bank: Bank) -> None:
    until = predict(bank, 2, truths=True)
    verdict = check(bank, case_of("steady"), until)
    assert (verdict.decision, verdict.predictions, verdict.truths) == ("steady", COUNT, 300)
    assert verdict.of_other_versions == 1
    assert [bool(c.passed) for c in verdict.comparisons] == [True] * 5
    assert [c.name for c in verdict.comparisons][-2:] == ["positive_rate", "brier"]
    assert sum(w.metrics["predictions"] for w in verdict.windows) == COUNT
    kept = bootstrap.row_log(bank.settings).rows("predictions.loans_windows")
    again = check(bank, case_of("steady"), until)
    assert again == verdict
    assert bootstrap.row_log(bank.settings).rows("predictions.loans_windows") == kept
    assert kept is not None
    assert kept.num_rows == 2


def test_other_incomes_are_drift_and_too_few_rows_are_not(bank: Bank) -> None:
    moved = check(bank, case_of("moved"), predict(bank, 4, moved=0.6))
    assert moved.decision == "drifted"
    assert any(reason.startswith("feature income: stability index") for reason in moved.reasons)
    few = check(bank, case_of("few"), predict(bank, 6, moved=9, count=20))
    assert (few.decision, few.comparisons) == ("too_few", ())
    assert "20 predictions, 500 are needed" in few.reasons[0]


def test_what_cannot_be_read_fails_and_leaves_a_verdict_that_says_why(bank: Bank) -> None:
    case = use_case(name="loans_elsewhere")
    with pytest.raises(LakeloopError, match="the predictions cannot be read"):
        check(bank, case, now_ms())
    verdict = DriftVerdict.model_validate_json((bank.folder / "drift" / "verdict.json").read_text())
    assert verdict.decision == "unreachable"
    assert "predictions.loans_elsewhere: there is no prediction log" in verdict.reasons[0]


def test_the_commands_tell_outcomes_and_the_verdict(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    until = predict(bank, 8)
    monkeypatch.setenv("LAKELOOP_HOME", str(bank.settings.home))
    case = bank.folder / "loans.yaml"
    case.write_text(json.dumps(case_of("commands").model_dump(mode="json")), encoding="utf-8")
    outcomes = bank.folder / "outcomes.csv"
    lines = [f"{until}-{n},{n % 2}" for n in range(250)]
    outcomes.write_text(
        "\n".join(["prediction_id,late", *lines, "nobody,1", f"{until}-300,"]), encoding="utf-8"
    )
    runner = CliRunner()
    told = runner.invoke(app, ["tell-truths", str(case), str(outcomes), "--truth-column", "late", "--json"])
    assert json.loads(told.stdout) == {"outcomes": 251, "new": 250, "unknown_predictions": 1}
    found = runner.invoke(app, ["check-drift", str(case), "--until", str(until), "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["truths"] == 250
    shown = runner.invoke(app, ["check-drift", str(case), "--until", str(until)])
    assert "feature ratio" in shown.stdout


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A session of a workbench in which the endpoint is deployed; the file of its model metrics."""
    metrics = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("CAI_METRICS_FILE", str(metrics))
    monkeypatch.syspath_prepend(str(SESSION))
    with emulated(tmp_path) as emulator:
        deploy_something(emulator.workbench, "tracked")
        for name, value in emulator.session().items():
            monkeypatch.setenv(name, value)
        yield metrics
    for name in [n for n in sys.modules if n.partition(".")[0] == "cml"]:
        del sys.modules[name]


def test_a_workbenchs_predictions_land_in_the_log_once_and_learn_what_came_true(
    bank: Bank, workbench: Path
) -> None:
    until = now_ms() - 10 * 86_400_000
    until -= until % 3_600_000
    rows, scores, version = _scored(bank, bank.folder / "tracked", 0.0, 600)
    for n, (row, score) in enumerate(zip(rows, scores, strict=True)):
        metrics = {"model_version": version, "scores": [score], "prediction_ids": [f"cai-{n}"]}
        metrics |= {"rows": [json.dumps(row)], "purpose": ""}
        record = {
            "predictionUuid": f"u{n}",
            "startTimeStampMs": until - 9 - n,
            "endTimeStampMs": until - 1 - n,
        }
        with workbench.open("a") as file:
            file.write(json.dumps({**record, "metrics": metrics}) + "\n")
    outcomes = {f"cai-{n}": n % 2 == 0 for n in range(250)}
    assert bootstrap.logged_predictions(bank.settings, use_case()).tell_truths(outcomes, 0, now_ms()) == 0
    first = check(bank, case_of("tracked"), until, source="workbench")
    assert (first.brought_in, first.predictions, first.truths) == (600, 600, 0)
    log = bootstrap.logged_predictions(bank.settings, use_case())
    assert log.tell_truths(outcomes, 0, now_ms()) == 250
    second = check(bank, case_of("tracked"), until, source="workbench")
    assert (second.brought_in, second.predictions, second.truths) == (0, 600, 250)
    told = [json.loads(line) for line in workbench.read_text().splitlines()]
    assert sum("truths" in record["metrics"] for record in told) == 250
    windows = [r["metrics"] for r in told if "modelDeploymentCrn" in r]
    assert [w["known_truths"] for w in windows] == [0.0, 250.0]
    lines = len(told)
    assert check(bank, case_of("tracked"), until, source="workbench") == second
    assert len(workbench.read_text().splitlines()) == lines


def test_outside_a_workbench_its_metrics_are_unreachable(bank: Bank) -> None:
    with pytest.raises(LakeloopError, match="the predictions cannot be read: Cloudera AI: not known"):
        check(bank, case_of("tracked"), now_ms(), source="workbench")
