"""`lakeloop submit` up to the point where a cluster is needed; the rest is in tests/e2e."""

import json
import sys
from pathlib import Path

import pytest

from lakeloop.cli import main
from lakeloop.domain.batch import BatchOptions
from lakeloop.domain.errors import UserError
from lakeloop.runners.cluster.submission import (
    fresh_key,
    given_parameters,
    notes_for_a_cluster,
    pipeline_arguments,
    pipeline_inputs,
    submission,
)
from lakeloop.use_case_files import load_use_case

ROOT = Path(__file__).resolve().parents[3]
CARD_FRAUD = load_use_case(str(ROOT / "conf" / "use_cases" / "card_fraud.yaml"))


@pytest.fixture
def leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LAKELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("LAKELOOP_KFP_HOST", raising=False)

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["lakeloop", *words])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), capsys.readouterr().err

    return call


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--pipeline", "retain"), ", ingest, "),
        (("--pipeline", "tidy", "--rows", "5"), "it lands no batch"),
        (("--pipeline", "replay"), "it needs version"),
        (("--set", "older_than=6h"), "no parameter to set: older_than"),
        (("--pipeline", "tidy", "--set", "use_case={}"), "no parameter to set: use_case"),
        (("--set", "older_than"), "is not NAME=VALUE"),
        (("--key", "a b"), "cannot be a key"),
        (("--on", "moon"), "no place to submit to"),
        (("--no-batch", "--rows", "5"), "leave one of them out"),
        ((), "no way to Kubeflow Pipelines"),
    ],
)
def test_what_cannot_be_submitted_leaves_with_2_and_says_why(
    leave: object, words: tuple[str, ...], told: str
) -> None:
    code, err = leave("submit", "card_fraud", *words)  # type: ignore[operator]
    assert code == 2
    assert told in err


def test_a_service_that_is_away_leaves_with_1(leave: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELOOP_KFP_HOST", "http://127.0.0.1:9")
    code, err = leave("submit", "card_fraud")  # type: ignore[operator]
    assert code == 1
    assert "Kubeflow Pipelines: no connection" in err


def test_the_use_case_travels_as_one_json_string_with_the_batchs_options() -> None:
    inputs = pipeline_inputs(ROOT / "pipelines" / "retrain" / "pipeline.yaml")
    options = BatchOptions(rows=7)
    arguments = pipeline_arguments("retrain", inputs, CARD_FRAUD, options, {})
    assert json.loads(arguments["use_case"]) == CARD_FRAUD.model_dump(mode="json")
    assert BatchOptions.model_validate_json(arguments["batch_options"]) == options


def test_a_pipelines_own_parameters_can_be_set() -> None:
    inputs = pipeline_inputs(ROOT / "pipelines" / "tidy" / "pipeline.yaml")
    given = given_parameters(["older_than=6h", "mode=show"])
    arguments = pipeline_arguments("tidy", inputs, CARD_FRAUD, BatchOptions(), given)
    assert {name: arguments[name] for name in ("older_than", "mode")} == {"older_than": "6h", "mode": "show"}
    with pytest.raises(UserError, match="twice"):
        given_parameters(["mode=show", "mode=remove"])


def test_one_key_gives_one_name_and_fresh_keys_differ() -> None:
    names = {
        submission(CARD_FRAUD, "retrain", {}, key=key, keyed=True, by="me").name
        for key in ("nightly", "nightly", fresh_key(), fresh_key())
    }
    assert len(names) == 3
    assert "card_fraud-retrain-nightly" in names


def test_what_works_on_one_machine_only_is_noted() -> None:
    (note,) = notes_for_a_cluster(CARD_FRAUD, {"batch_options": "{}"})
    assert "kserve" in note
    assert not notes_for_a_cluster(CARD_FRAUD, {})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("trigger", "--on", "moon"), "use cluster or local"),
        (("trigger", "nobody"), "no use case 'nobody'"),
        (("schedule", "apply", "nightly"), "no schedule nightly"),
        (("schedule", "apply"), "no way to Kubeflow Pipelines"),
        (("follow", "r1"), "no way to Kubeflow Pipelines"),
        (("logs", "--on", "cluster"), "name it: lakeloop logs RUN_ID"),
    ],
)
def test_what_cannot_be_scheduled_or_watched_leaves_with_2(
    leave: object, words: tuple[str, ...], told: str
) -> None:
    code, err = leave(*words)  # type: ignore[operator]
    assert code == 2
    assert told in err


def test_two_schedules_for_one_table_are_refused(
    leave: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKELOOP_SCHEDULES", str(tmp_path))
    for name in ("a", "b"):
        text = f"name: {name}\nuse_case: card_fraud\nwhen: {{kind: snapshots}}\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    code, err = leave("trigger", "--once")  # type: ignore[operator]
    assert code == 2
    assert "two schedules watch card_fraud" in err


def test_a_trigger_looks_once_without_a_cluster_where_nothing_is_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LAKELOOP_HOME", str(tmp_path))
    monkeypatch.setattr(
        sys, "argv", ["lakeloop", "trigger", "card_fraud", "--once", "--on", "local", "--json"]
    )
    with pytest.raises(SystemExit) as left:
        main()
    (found,) = json.loads(capsys.readouterr().out)
    assert (left.value.code or 0, found["action"]) == (0, "idle")
    assert "does not exist yet" in found["reason"]
