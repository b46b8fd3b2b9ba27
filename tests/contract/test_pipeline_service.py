"""One suite for every place that runs pipelines; tests/e2e asks the same of a real KFP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lakeloop.adapters.kfp import runs as kfp_runs
from lakeloop.adapters.kfp.runs import KfpPipelines
from lakeloop.adapters.kfp.schedules import KfpSchedules
from lakeloop.adapters.memory.pipelines import MemoryPipelines
from lakeloop.adapters.memory.schedules import MemorySchedules
from lakeloop.domain.errors import LakeloopError, ServiceAwayError, UserError
from lakeloop.domain.remote_run import Submission
from lakeloop.domain.schedule import Recurring
from lakeloop.ports.pipelines import PipelineService
from lakeloop.ports.schedules import Schedules
from lakeloop.settings import Settings
from tests.fakes.kfp_server import RECURRING, RUNS, KfpServer, serving

PIPELINE = Path(__file__).parents[2] / "pipelines" / "tidy" / "pipeline.yaml"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    monkeypatch.setattr(kfp_runs, "PAUSES_SECONDS", (0.01, 0.01, 0.01))
    monkeypatch.setattr(kfp_runs, "SETTLE_SECONDS", 0.3)
    with serving() as server:
        yield server


@pytest.fixture
def kfp(server: KfpServer, tmp_path: Path) -> KfpPipelines:
    return KfpPipelines(Settings(home=tmp_path, kfp_host=server.url), lambda _: PIPELINE)


@pytest.fixture(params=["memory", "kfp"])
def service(request: pytest.FixtureRequest) -> PipelineService:
    if request.param == "memory":
        return MemoryPipelines()
    found: KfpPipelines = request.getfixturevalue("kfp")
    return found


def submission(name: str, *, keyed: bool = False) -> Submission:
    return Submission(
        name=name,
        experiment="lakeloop-fraud",
        pipeline="tidy",
        arguments={"use_case": "{}", "older_than": "6h"},
        keyed=keyed,
    )


def test_one_name_is_one_run(service: PipelineService) -> None:
    assert service.find("fraud-tidy-1") is None
    first = service.start(submission("fraud-tidy-1"))
    assert service.start(submission("fraud-tidy-1")) == first
    assert service.find("fraud-tidy-1") == first
    assert service.start(submission("fraud-tidy-2")) != first


def test_a_run_goes_on_until_it_is_terminated(service: PipelineService) -> None:
    run_id = service.start(submission("one"))
    assert (service.look(run_id).state, service.look(run_id).name) == ("running", "one")
    service.terminate(run_id)
    assert service.look(run_id).state == "cancelled"
    service.terminate(run_id)


def test_an_unknown_run_is_a_users_error(service: PipelineService) -> None:
    with pytest.raises(UserError):
        service.look("nothing")
    with pytest.raises(UserError):
        service.terminate("nothing")


def test_of_many_at_once_with_one_key_one_run_goes_on(service: PipelineService) -> None:
    found, barrier = list[str](), threading.Barrier(4, timeout=30)

    def send() -> None:
        barrier.wait()
        found.append(service.start(submission("keyed", keyed=True)))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert service.look(found[0]).state == "running"


@pytest.mark.parametrize("fault", ["before", "after", "cut"])
def test_a_lost_answer_starts_no_second_run(kfp: KfpPipelines, server: KfpServer, fault: str) -> None:
    server.faults = [fault]
    run_id = kfp.start(submission("one"))
    assert list(server.kept[RUNS]) == [run_id]


def test_a_service_that_stays_away_is_given_up(kfp: KfpPipelines, server: KfpServer) -> None:
    server.faults = ["before"] * 9
    with pytest.raises(ServiceAwayError, match="502"):
        kfp.start(submission("one"))
    assert server.posts.count("runs") == 4
    assert not server.kept[RUNS]


def test_no_service_at_all_is_told_at_once(tmp_path: Path) -> None:
    service = KfpPipelines(Settings(home=tmp_path, kfp_host="http://127.0.0.1:9"), lambda _: PIPELINE)
    with pytest.raises(ServiceAwayError, match="no connection"):
        service.start(submission("one"))


def test_exactly_the_committed_pipeline_is_sent(kfp: KfpPipelines, server: KfpServer) -> None:
    kfp.start(submission("one"))
    (sent,) = server.kept[RUNS].values()
    spec, platform = yaml.safe_load_all(PIPELINE.read_text(encoding="utf-8"))
    assert sent["pipeline_spec"] == {"pipeline_spec": spec, "platform_spec": platform}
    assert sent["runtime_config"] == {"parameters": {"use_case": "{}", "older_than": "6h"}}
    assert sent["service_account"] == "lakeloop-steps"


def test_a_token_is_read_from_its_file_and_is_in_no_message(
    server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("very-secret\n", encoding="utf-8")
    settings = Settings(home=tmp_path, kfp_host=server.url, kfp_token_file=token)
    service = KfpPipelines(settings, lambda _: PIPELINE)
    assert service.find("one") is None
    token.unlink()
    with pytest.raises(LakeloopError) as raised:
        KfpPipelines(settings, lambda _: PIPELINE).find("one")
    assert "very-secret" not in str(raised.value)


@pytest.fixture(params=["memory", "kfp"])
def schedules(request: pytest.FixtureRequest, tmp_path: Path) -> Schedules:
    if request.param == "memory":
        return MemorySchedules()
    server: KfpServer = request.getfixturevalue("server")
    return KfpSchedules(Settings(home=tmp_path, kfp_host=server.url), lambda _: PIPELINE)


RECURS = Recurring(
    name="lakeloop-schedule-tidy",
    experiment="lakeloop-fraud",
    pipeline="tidy",
    pipeline_digest="abc",
    arguments={"use_case": "{}"},
    cron="0 0 3 * * *",
    enabled=True,
    service_account="lakeloop-steps",
)


def test_what_was_made_is_known_and_can_be_deleted_twice(schedules: Schedules) -> None:
    made = schedules.create(RECURS)
    paused = schedules.create(RECURS.model_copy(update={"name": "other", "enabled": False}))
    first, second = schedules.known()
    assert (first.recurring_run_id, first.name, first.cron, first.enabled) == (
        made,
        RECURS.name,
        RECURS.cron,
        True,
    )
    assert first.content_digest == RECURS.content_digest
    assert (second.recurring_run_id, second.enabled) == (paused, False)
    schedules.delete(made)
    schedules.delete(made)
    assert [one.recurring_run_id for one in schedules.known()] == [paused]


def test_one_that_is_switched_off_is_known_as_such(schedules: Schedules) -> None:
    made = schedules.create(RECURS)
    schedules.disable(made)
    schedules.disable("gone already")
    (known,) = schedules.known()
    assert (known.enabled, known.content_digest) == (False, RECURS.content_digest)
    assert schedules.going_on(made) == ()


def test_runs_of_a_recurring_run_that_go_on_are_seen(server: KfpServer, tmp_path: Path) -> None:
    schedules = KfpSchedules(Settings(home=tmp_path, kfp_host=server.url), lambda _: PIPELINE)
    made = schedules.create(RECURS)
    for recurring, name in ((made, "mine"), (made, "ended"), ("another", "theirs")):
        server.create(RUNS, {"display_name": name, "recurring_run_id": recurring})
    server.kept[RUNS]["runs-2"]["state"] = "SUCCEEDED"
    assert schedules.going_on(made) == ("runs-1",)


def test_a_recurring_run_never_overlaps_itself_and_catches_nothing_up(
    server: KfpServer, tmp_path: Path
) -> None:
    KfpSchedules(Settings(home=tmp_path, kfp_host=server.url), lambda _: PIPELINE).create(RECURS)
    (sent,) = server.kept[RECURRING].values()
    assert (sent["max_concurrency"], sent["no_catchup"]) == ("1", True)
    assert json.loads(sent["runtime_config"]["parameters"]["use_case"]) == {}
