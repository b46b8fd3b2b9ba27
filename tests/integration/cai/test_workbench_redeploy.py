"""Redeploys to an emulated workbench beyond single faults: odd platforms, crashes, limits, secrets."""

from __future__ import annotations

import builtins
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lakeloop.adapters.cai.calls import Calls
from lakeloop.adapters.cai.connection import connection, open_client
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.rollout import Candidate
from lakeloop.domain.workbench import RuntimeNeeds
from tests.emulators.cai.faults import Fault, gateway_timeout
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.states import Durations
from tests.emulators.cai.testing import connection_to, emulated
from tests.fakes.models import ROWS, candidate, model_folder
from tests.faults.test_workbench_calls import (
    ENDPOINT,
    Versions,
    check_single,
    deployer_of,
    roll_out,
    serving_version,
)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return Versions(tmp_path_factory.mktemp("models") / "one")


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with emulated(tmp_path) as found:
        yield found
        assert found.refused == []


def test_the_gateway_gives_up_after_30_seconds_and_the_deployment_is_adopted(
    emulator: Emulator, versions: Versions
) -> None:
    emulator.faults.set.append(gateway_timeout())
    told: list[str] = []
    roll_out_telling(emulator, versions.next(), told)
    assert emulator.count("CreateModelDeployment") == 1
    assert any("the answer was lost, what it made is there" in line for line in told)
    check_single(emulator)


def test_statuses_that_nobody_has_told_of_are_waited_for_and_told(
    emulator: Emulator, versions: Versions
) -> None:
    emulator.workbench.durations = Durations(build=1200.0, deployment=1200.0)  # long enough to be seen
    emulator.workbench.destine("build", "unknown")
    emulator.workbench.destine("deployment", "unknown")
    told: list[str] = []
    roll_out_telling(emulator, versions.next(), told)
    assert any("unknown-to-everybody (a status that nobody has told of" in line for line in told)


@pytest.mark.parametrize(
    ("kind", "fate", "said"),
    [
        ("build", "build failed", "ended as 'build failed'"),
        ("build", "timedout", "ended as 'timedout'"),
        ("build", "hang", "is still 'pushing' after"),
        ("deployment", "failed", "ended as 'failed'"),
        ("deployment", "hang", "is still 'deploying' after"),
        ("version", "failed", "the registry could not import the model"),
        ("version", "hang", "did not take version"),
    ],
)
def test_what_fails_or_hangs_leaves_the_old_version_serving(
    emulator: Emulator, versions: Versions, kind: str, fate: str, said: str
) -> None:
    first, second = versions.next(), versions.next()
    roll_out(deployer_of(emulator), first)
    emulator.workbench.destine(kind, fate)
    limits = {"build_timeout_seconds": 1.0, "deploy_timeout_seconds": 1.0} if fate == "hang" else {}
    with pytest.raises(LakeloopError, match=said):
        roll_out(deployer_of(emulator, **limits), second)
    assert serving_version(emulator) == first.identity.version


def test_a_version_that_failed_before_anybody_looked_is_told_as_failed(
    emulator: Emulator, versions: Versions
) -> None:
    emulator.workbench.durations = replace(emulator.workbench.durations, registration=0.0)
    emulator.workbench.destine("version", "failed")
    with pytest.raises(LakeloopError, match="the registry could not import the model"):
        roll_out(deployer_of(emulator), versions.next())


@pytest.mark.parametrize(
    "call",
    [
        "CreateRegisteredModel",
        "CreateModel",
        "CreateModelBuild",
        "CreateModelDeployment",
        "GetModelDeployment",
    ],
)
def test_a_process_that_dies_after_any_effect_is_completed_by_the_next_one(
    emulator: Emulator, versions: Versions, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        """As a power cut: nothing is caught, nothing is undone."""

    method = "".join(f"_{c.lower()}" if c.isupper() else c for c in call).lstrip("_")
    once = Calls.once

    def dies(self: Calls, name: str, *arguments: Any, **query: Any) -> Any:
        answer = once(self, name, *arguments, **query)
        if name == method:
            raise Died
        return answer

    version = versions.next()
    monkeypatch.setattr(Calls, "once", dies)
    with pytest.raises(Died):
        roll_out(deployer_of(emulator), version)
    monkeypatch.setattr(Calls, "once", once)
    roll_out(deployer_of(emulator), version)
    assert serving_version(emulator) == version.identity.version
    check_single(emulator)
    assert len(emulator.workbench.versions) == len(emulator.workbench.builds) == 1


def test_a_longer_name_on_an_earlier_page_is_not_taken_for_the_model(
    emulator: Emulator, versions: Versions
) -> None:
    for number in range(23):
        emulator.workbench.create_model({"name": f"{ENDPOINT}-{number}"})
    roll_out(deployer_of(emulator), versions.next())
    roll_out(deployer_of(emulator), versions.next())
    assert len(emulator.workbench.models) == 24
    assert {b["model_id"] for b in emulator.workbench.builds.values()} == {
        m["id"] for m in emulator.workbench.models.values() if m["name"] == ENDPOINT
    }


def test_a_registry_that_keeps_no_notes_still_gets_one_version_a_rollout(
    tmp_path: Path, versions: Versions
) -> None:
    with emulated(tmp_path, keeps_notes=False) as emulator:
        for _ in range(2):
            roll_out(deployer_of(emulator), versions.next())
        assert sorted(v["number"] for v in emulator.workbench.versions.values()) == [1, 2]


def test_use_case_fields_reach_the_platform_and_authentication_stays_on(
    emulator: Emulator, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = versions.next()
    spec: dict[str, Any] = {
        "replicas": 2,
        "environment": {"MODE": "strict"},
        "secrets": {"TOKEN": "MY_TOKEN"},
        "runtime": RuntimeNeeds(edition="Nvidia GPU"),
    }
    with pytest.raises(UserError, match="not set: MY_TOKEN"):
        deployer_of(emulator, **spec).start(ENDPOINT, version)
    monkeypatch.setenv("MY_TOKEN", "s3cret-value")
    told: list[str] = []
    deployer = deployer_of(emulator, told, **spec)
    roll_out(deployer, version)
    (body,) = [call[3] for call in emulator.calls if call[0] == "CreateModelDeployment"]
    assert (body["replicas"], body["environment"]) == (2, {"MODE": "strict"})
    assert body["deployment_secrets"] == {"TOKEN": "s3cret-value"}
    (build,) = emulator.workbench.builds.values()
    assert "nvidiagpu" in build["runtime_identifier"]
    (model,) = emulator.workbench.models.values()
    assert model["auth_enabled"]
    assert not any("s3cret-value" in line for line in told)


def test_no_key_is_told_or_logged_whatever_goes_wrong(
    emulator: Emulator, versions: Versions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    workbench = emulator.workbench
    roll_out_telling(emulator, versions.next(), told)
    for call in ("CreateModelBuild", "Predict", "ListModels"):
        emulator.faults.set[:] = [Fault(call, status=403, times=-1, message=f"no {workbench.api_key}")]
        with pytest.raises(LakeloopError) as caught:
            roll_out_telling(emulator, versions.next(), told)
        told.append(str(caught.value))
    emulator.faults.set.clear()
    (model,) = workbench.models.values()
    text = "\n".join([*told, caplog.text, repr(connection_to(emulator))])
    for secret in (model["access_key"], workbench.api_key, workbench.application_key):
        assert secret not in text


def test_in_place_says_which_gap_it_expects_and_which_it_measured(
    emulator: Emulator, versions: Versions
) -> None:
    emulator.workbench.durations = Durations(deployment=1200.0)  # half a second here
    roll_out(deployer_of(emulator), versions.next())
    deployer = deployer_of(emulator)
    rollout = roll_out(deployer, versions.next())
    (remark,) = deployer.remarks(ENDPOINT)
    assert remark in next(step.detail for step in rollout.steps if step.name == "shift")
    assert "two to six minutes without an answer were expected" in remark
    assert "0.0 s were measured" not in remark


def test_plain_columns_get_an_answer_and_large_integers_survive(
    emulator: Emulator, versions: Versions
) -> None:
    roll_out(deployer_of(emulator), versions.next())
    (model,) = emulator.workbench.models.values()
    split = {"columns": list(ROWS[0]), "data": [list(row.values()) for row in ROWS]}
    answer = httpx.post(
        emulator.model_service_url,
        json={"accessKey": model["access_key"], "request": {"dataframe_split": split}},
        headers={"authorization": f"Bearer {emulator.workbench.application_key}"},
        trust_env=False,
    ).json()
    asked = deployer_of(emulator).ask(ENDPOINT, ROWS)
    assert [r["score"] for r in answer["response"]["predictions"]] == pytest.approx(asked["scores"])
    refused = httpx.post(
        emulator.model_service_url, json={"accessKey": model["access_key"], "request": {}}, trust_env=False
    )
    assert refused.status_code == 403


def test_without_cmlapi_the_error_has_the_line_that_installs_it(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "cmlapi":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=rf"pip install {emulator.url}/api/v2/python.tar.gz"):
        open_client(connection_to(emulator))


def test_a_session_brings_its_workbench_and_outside_one_the_variables_are_named(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="LAKELOOP_CAI_PROJECT_ID"):
        connection()
    for name, value in emulator.session().items():
        monkeypatch.setenv(name, value)
    found = connection()
    assert (found.url, found.project_id) == (emulator.url, emulator.workbench.project_id)
    assert found.model_key == emulator.workbench.application_key
    monkeypatch.delenv("LAKELOOP_CAI_MODEL_SERVICE_URL")
    monkeypatch.setenv("CDSW_API_URL", "https://ml-1.example.com/api/v1")
    assert connection().model_service_url == "https://modelservice.ml-1.example.com/model"


def test_a_changed_artifact_of_a_version_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    good = model_folder(tmp_path / "m", seed=3)
    wrong = candidate(tmp_path / "m", digest="0" * 64)
    assert good.identity.model_digest != wrong.identity.model_digest
    with pytest.raises(LakeloopError, match="bytes"):
        deployer_of(emulator).start(ENDPOINT, wrong)
    assert emulator.workbench.models == {}


def roll_out_telling(emulator: Emulator, version: Candidate, told: list[str]) -> None:
    roll_out(deployer_of(emulator, told), version, told)


def test_the_emulator_writes_int64_as_text_and_pages_of_ten(emulator: Emulator) -> None:
    for number in range(12):
        emulator.workbench.create_model({"name": f"m{number}"})
    url = f"{emulator.url}/api/v2/projects/{emulator.workbench.project_id}"
    headers = {"authorization": f"Bearer {emulator.workbench.api_key}"}
    page = httpx.get(f"{url}/models", headers=headers, trust_env=False).json()
    assert len(page["models"]) == 10
    assert page["next_page_token"]
    refused = httpx.post(
        f"{url}/models", headers=headers, json={"name": "x", "colour": "red"}, trust_env=False
    )
    assert refused.status_code == 400
    assert 'unknown field "colour"' in json.loads(refused.text)["message"]
    emulator.refused.clear()
    nobody = httpx.get(f"{url}/models", trust_env=False)
    assert (nobody.status_code, nobody.json()["code"]) == (401, 16)
