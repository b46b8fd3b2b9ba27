"""Submitting to real Kubeflow Pipelines: once for a key, followed to its end, terminated, recurring, triggered."""

from __future__ import annotations

import io
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.ledger import IcebergLedger
from lakeloop.adapters.kfp.connection import answering
from lakeloop.adapters.kfp.runs import KfpPipelines
from lakeloop.adapters.kfp.schedules import KfpSchedules
from lakeloop.domain.errors import UserError
from lakeloop.domain.remote_run import Submission
from lakeloop.domain.schedule import PREFIX, BySnapshots, Recurring, plan_changes
from lakeloop.domain.use_case import UseCase
from lakeloop.runners.cluster import Following, follow
from lakeloop.runners.cluster.outcome import exit_code, failures
from lakeloop.runners.cluster.scheduling import applied
from lakeloop.runners.process import PlainListener
from lakeloop.settings import Settings
from lakeloop.triggering import Trigger, watch
from tests.e2e import kfp_place

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("golden_image"),
]

PIPELINE = "exit-handler-good"
LIMIT_SECONDS = 600.0


@pytest.fixture(scope="module")
def settings() -> Settings:
    settings = Settings()
    why = kfp_place.unreachable(settings)
    if why:
        pytest.skip(f"no Kubeflow Pipelines: {why}")
    return settings


@pytest.fixture(scope="module")
def service(settings: Settings) -> KfpPipelines:
    return KfpPipelines(settings, kfp_place.golden)


def submission(name: str, pipeline: str = PIPELINE, *, keyed: bool = False, **arguments: str) -> Submission:
    return Submission(
        name=name, experiment="lakeloop-e2e", pipeline=pipeline, arguments=arguments, keyed=keyed
    )


def test_of_three_submissions_with_one_key_at_once_one_run_stays(service: KfpPipelines) -> None:
    name, found = f"e2e-key-{secrets.token_hex(4)}", list[str]()
    barrier = threading.Barrier(3, timeout=60)

    def send() -> None:
        barrier.wait()
        found.append(service.start(submission(name, keyed=True)))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 3
    assert len(set(found)) == 1
    assert service.start(submission(name, keyed=True)) == found[0]
    others = [run for run in service._named(name) if run["run_id"] != found[0]]
    ended = kfp_place.until_ended(service, {run["run_id"]: run["run_id"] for run in others}, LIMIT_SECONDS)
    assert {run.state for run in ended.values()} <= {"cancelled", "failed"}
    service.terminate(found[0])


def test_a_failing_run_is_followed_to_its_steps_error(service: KfpPipelines) -> None:
    out = io.StringIO()
    for _ in range(3):
        run_id = service.start(submission(f"e2e-fail-{secrets.token_hex(4)}", "long-log"))
        followed = follow(
            Following(service, PlainListener(out), again="again", limit_seconds=LIMIT_SECONDS), run_id
        )
        if not kfp_place.broken_by_the_node(Settings(), run_id):
            break
    assert followed.run.state == "failed"
    assert failures(followed, {}) == [("quiet-fail", "line 39")]
    assert exit_code(followed, {}) == 1
    assert "failed   quiet-fail" in out.getvalue()


def test_a_terminated_run_ends_as_cancelled(service: KfpPipelines) -> None:
    run_id = service.start(submission(f"e2e-end-{secrets.token_hex(4)}"))
    service.terminate(run_id)
    (run,) = kfp_place.until_ended(service, {"one": run_id}, LIMIT_SECONDS).values()
    # The back end's own report of the failed workflow may overwrite its CANCELING, in the history, too.
    assert run.state in {"cancelled", "failed"}
    service.terminate(run_id)  # again is a no-op
    assert service.ended(run_id)


def test_what_the_service_does_not_take_is_a_users_error(service: KfpPipelines) -> None:
    with pytest.raises(UserError):
        service.look("nothing-of-this-id")
    with pytest.raises(UserError):
        service.start(submission(f"e2e-bad-{secrets.token_hex(4)}", unknown="1"))


@pytest.fixture
def schedules(settings: Settings) -> Iterator[KfpSchedules]:
    schedules = KfpSchedules(settings, kfp_place.golden)
    yield schedules
    for one in schedules.known():
        if one.name.startswith(f"{PREFIX}e2e-"):
            schedules.delete(one.recurring_run_id)


def runs_of(service: KfpPipelines, recurring_run_id: str) -> list[str]:
    with answering("Kubeflow Pipelines"):
        answer = service._api.run_service_list_runs(page_size=50, sort_by="created_at desc")
    return [run.run_id for run in answer.runs or [] if run.recurring_run_id == recurring_run_id]


def test_a_declared_schedule_starts_runs_and_is_applied_once(
    schedules: KfpSchedules, service: KfpPipelines, settings: Settings
) -> None:
    wanted = Recurring(
        name=f"{PREFIX}e2e-{secrets.token_hex(4)}",
        experiment="lakeloop-e2e",
        pipeline=PIPELINE,
        pipeline_digest="a",
        arguments={},
        cron="*/20 * * * * *",
        enabled=True,
        service_account=settings.kfp_service_account,
    )

    def apply(one: Recurring) -> tuple[str, bool]:
        (change,) = [c for c in plan_changes((one,), schedules.known()) if c.name == one.name]
        return change.action, applied(schedules, (one,), (change,)) == ()

    assert [apply(wanted), apply(wanted)] == [("create", True), ("keep", True)]
    (made,) = [one for one in schedules.known() if one.name == wanted.name]
    until = time.monotonic() + 240
    while not runs_of(service, made.recurring_run_id) and time.monotonic() < until:
        time.sleep(3)
    started = runs_of(service, made.recurring_run_id)
    assert started
    slower = wanted.model_copy(update={"cron": "0 0 3 * * *"})
    assert apply(slower) == (
        "replace",
        False,
    )  # its run goes on: deleting it would end the run without a word
    both = [(one.cron, one.enabled) for one in schedules.known() if one.name == wanted.name]
    assert both == [(wanted.cron, False), (slower.cron, True)]
    assert all(service.look(run_id).state in {"waiting", "running"} for run_id in started)
    for run_id in runs_of(service, made.recurring_run_id):
        service.terminate(run_id)
    ids = {run_id: run_id for run_id in runs_of(service, made.recurring_run_id)}
    kfp_place.until_ended(service, ids, LIMIT_SECONDS)
    assert apply(slower) == ("delete", True)
    assert [one.cron for one in schedules.known() if one.name == wanted.name] == [slower.cron]


def test_twenty_commits_in_five_seconds_start_one_run_though_two_triggers_watch(
    service: KfpPipelines, tmp_path: Path
) -> None:
    own = Settings(home=tmp_path)
    lake = IcebergLake(own)
    use_case = UseCase.model_validate(
        {
            "name": f"e2e_{secrets.token_hex(4)}",
            "table": {"name": "bank.t", "key": ["id"], "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": "fraud"},
            "features": ["amount"],
        }
    )
    policy = BySnapshots(kind="snapshots", min_rows=20, quiet_seconds=4, cool_down_seconds=1)
    triggers = [
        Trigger(
            lake=lake,
            ledger=IcebergLedger(own),
            submitter=service,
            use_case=use_case,
            policy=policy,
            submission_for=lambda key: submission(f"{use_case.name}-retrain-{key}", keyed=True),
            by=f"trigger-{k}",
        )
        for k in range(2)
    ]
    stop, told = threading.Event(), list[str]()
    watching = [
        threading.Thread(target=watch, args=([one], 0.5, stop, told.append), daemon=True) for one in triggers
    ]
    lake.catalog.create_namespace("bank")
    rows = pa.table({"id": [1], "amount": [2.0], "fraud": [0], "at": pa.array([0], pa.timestamp("us"))})
    table = lake.catalog.create_table("bank.t", rows.schema)
    for thread in watching:
        thread.start()
    for _ in range(20):
        table.append(rows)
        time.sleep(0.1)
    until = time.monotonic() + 120
    while not any(": start:" in line for line in told) and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(6)  # long enough for a second run, were there to be one
    stop.set()
    for thread in watching:
        thread.join(60)
    events = IcebergLedger(own).events(use_case.name)
    runs = [e.pipeline_run_id for e in events if e.kind == "submitted"]
    assert len(runs) == 1, told
    assert service.look(runs[0]).name.startswith(f"{use_case.name}-retrain-")
    service.terminate(runs[0])
