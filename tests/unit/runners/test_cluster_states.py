"""Answers of a real KFP 2.14.3 API server (tests/golden/kfp_runs), read as values and told as progress."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lakeloop.adapters.kfp.pods import exit_status, last_words, newest_pod, own_lines, pod_problem
from lakeloop.adapters.kfp.states import remote_run, steps_of
from lakeloop.domain.errors import LakeloopError, ServiceAwayError, UserError
from lakeloop.domain.remote_run import RemoteRun, RemoteTask, StepLog
from lakeloop.runners.cluster import Followed, Following, follow
from lakeloop.runners.cluster.outcome import exit_code, failures
from lakeloop.runners.process import PlainListener
from lakeloop.runners.process.events import RunFinished, TaskProgress, TaskRetried

ANSWERS = Path(__file__).parents[2] / "golden" / "kfp_runs"


def answer(name: str) -> RemoteRun:
    return remote_run(json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8")))


def states(run: RemoteRun) -> list[tuple[str, str]]:
    return [(task.name, task.state) for task in run.tasks]


def test_steps_are_told_from_drivers_executors_and_groups() -> None:
    run = answer("named-output")
    assert (run.state, run.pipeline) == ("succeeded", "named-output")
    assert sorted(states(run)) == [
        ("measure", "succeeded"),
        ("say", "succeeded"),
        ("say-2", "skipped"),
        ("say-3", "succeeded"),
        ("say-4", "skipped"),
    ]


def test_a_loops_steps_come_once_an_iteration() -> None:
    run = answer("loop")
    assert states(run).count(("say", "succeeded")) == 3
    assert states(run).count(("say-2", "succeeded")) == 3
    assert ("join", "succeeded") in states(run)
    assert len({task.task_id for task in run.tasks}) == len(run.tasks)


def test_a_step_whose_driver_failed_is_a_failed_step() -> None:
    failed = [task for task in answer("exit-handler").tasks if task.state == "failed"]
    assert [(task.name, task.error) for task in failed] == [
        ("fail", "its driver failed before the step could start")
    ]
    assert sorted(states(answer("exit-handler"))) == [
        ("fail", "failed"),
        ("on-exit", "succeeded"),
        ("say", "succeeded"),
        ("say-2", "not_run"),
    ]


def test_groups_map_to_the_containers_below_them() -> None:
    spec = json.loads((ANSWERS / "named-output.json").read_text(encoding="utf-8"))["pipeline_spec"]
    assert steps_of(spec)["condition-1"] == ("say", "say-2")
    assert steps_of(spec)["measure"] == ()


class Service:
    """Looks prepared in advance, and logs by task."""

    def __init__(self, looks: Sequence[RemoteRun | Exception], logs: dict[str, list[StepLog]]) -> None:
        self.looks, self.logs = list(looks), logs

    def look(self, run_id: str) -> RemoteRun:  # noqa: ARG002 - the port's signature
        now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(now, Exception):
            raise now
        return now

    def step_log(self, run_id: str, task: str, lines: int) -> StepLog | None:  # noqa: ARG002 - the port's
        known = self.logs.get(task, [])
        return (known.pop(0) if len(known) > 1 else known[0]) if known else None

    def link(self, run_id: str) -> str:
        return f"http://kfp/{run_id}"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def following(service: Service, listener: object, **changes: object) -> Following:
    clock = Clock()
    given = {"again": "lakeloop follow r1", "clock": clock, "pause": clock.pause, **changes}
    return Following(service=service, listener=listener, **given)  # type: ignore[arg-type]


def look(state: str, *tasks: tuple[str, str]) -> RemoteRun:
    return RemoteRun(
        run_id="r1",
        name="card_fraud-retrain-k",
        pipeline="lakeloop-retrain",
        state=state,  # type: ignore[arg-type]
        created_at_ms=1000,
        ended_at_ms=61_000 if state in {"succeeded", "failed", "cancelled"} else None,
        tasks=tuple(
            RemoteTask(task_id=name, name=name, state=s, started_at_ms=1000, ended_at_ms=5000)  # type: ignore[arg-type]
            for name, s in tasks
        ),
    )


def test_each_change_is_told_once_with_the_steps_own_progress() -> None:
    looks = [
        look("waiting"),
        look("running", ("generate-batch", "waiting")),
        look("running", ("generate-batch", "running")),
        look("running", ("generate-batch", "running")),
        look("running", ("generate-batch", "succeeded"), ("train-model", "skipped")),
        look("succeeded", ("generate-batch", "succeeded"), ("train-model", "skipped")),
    ]
    log = StepLog(attempt=1, lines=("::progress::batch 3: generating 10000 rows",))
    out = io.StringIO()
    followed = follow(following(Service(looks, {"generate-batch": [log]}), PlainListener(out)), "r1")
    assert followed.run.state == "succeeded"
    assert out.getvalue().splitlines() == [
        "run r1  lakeloop-retrain  http://kfp/r1",
        "started  generate-batch",
        "         generate-batch: batch 3: generating 10000 rows",
        "done     generate-batch  4.0 s",
        "skipped  train-model  its condition is false",
        "run r1 succeeded in 1 min 00 s",
    ]


def test_a_failure_names_the_step_its_error_line_and_the_command_for_more() -> None:
    log = StepLog(attempt=2, lines=("::progress::x", "error: table lake.t is gone -> create it"), exit_code=2)
    looks = [look("running", ("ingest-batch", "running")), look("failed", ("ingest-batch", "failed"))]
    out = io.StringIO()
    service = Service(looks, {"ingest-batch": [log]})
    followed = follow(
        following(service, PlainListener(out), log_command=lambda task: f"lakeloop logs r1 --step {task}"),
        "r1",
    )
    assert "failed   ingest-batch  after 4.0 s: table lake.t is gone -> create it" in out.getvalue()
    assert "lakeloop logs r1 --step ingest-batch" in out.getvalue()
    assert failures(followed, {}) == [("ingest-batch", "table lake.t is gone -> create it")]
    assert exit_code(followed, {}) == 2


def test_a_step_whose_pod_was_taken_away_says_what_to_do() -> None:
    looks = [look("running", ("train-model", "running")), look("failed", ("train-model", "failed"))]
    followed = follow(following(Service(looks, {}), [].append), "r1")
    ((step, told),) = failures(followed, {})
    assert step == "train-model"
    assert "drained with its node" in told
    assert "submit again with --no-batch" in told
    assert exit_code(followed, {}) == 1


def test_a_runs_end_is_told_before_its_last_steps_and_that_is_waited_for() -> None:
    late = [look("running", ("say", "running")), look("succeeded", ("say", "running"))]
    out = io.StringIO()
    followed = follow(
        following(Service([*late, look("succeeded", ("say", "succeeded"))], {}), PlainListener(out)), "r1"
    )
    assert states(followed.run) == [("say", "succeeded")]
    assert "done     say  4.0 s" in out.getvalue()
    stuck = follow(following(Service([*late, *late[1:] * 20], {}), [].append), "r1")
    assert states(stuck.run) == [("say", "running")]


def test_another_attempt_and_a_pod_that_waits_are_told() -> None:
    logs = [
        StepLog(attempt=1, lines=(), problem="ImagePullBackOff: no such image"),
        StepLog(attempt=2, lines=("::progress::again",)),
    ]
    looks = [look("running", ("say", "running"))] * 2 + [look("succeeded", ("say", "succeeded"))]
    events: list[object] = []
    follow(following(Service(looks, {"say": logs}), events.append), "r1")
    assert [e.text for e in events if isinstance(e, TaskProgress)] == [
        "waiting: ImagePullBackOff: no such image",
        "again",
    ]
    assert [e.attempt for e in events if isinstance(e, TaskRetried)] == [1]


def test_an_outage_within_its_limit_is_survived_and_a_longer_one_says_how_to_go_on() -> None:
    away = ServiceAwayError("no connection")
    said: list[str] = []
    looks = [look("running"), away, away, look("succeeded")]
    assert follow(following(Service(looks, {}), lambda _: None, say=said.append), "r1").run.ended
    assert said[-1] == "the service answers again"
    events: list[object] = []
    with pytest.raises(LakeloopError, match="lakeloop follow r1"):
        follow(following(Service([look("running"), away], {}), events.append), "r1")
    assert isinstance(events[-1], RunFinished)


def test_ctrl_c_leaves_the_run_and_says_how_to_follow_it_again() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        follow(following(Service([look("running")], {}), PlainListener(out), pause=interrupted), "r1")
    assert "follow it again with: lakeloop follow r1" in out.getvalue()


def test_a_run_is_not_followed_for_ever() -> None:
    with pytest.raises(LakeloopError, match="goes on after 60 s"):
        follow(following(Service([look("running")], {}), lambda _: None, limit_seconds=60), "r1")


def test_an_unknown_run_is_a_users_error() -> None:
    with pytest.raises(UserError):
        follow(following(Service([UserError("no such run")], {}), lambda _: None), "nonsense")


@pytest.mark.parametrize(
    ("state", "documents", "code"),
    [
        ("succeeded", {}, 0),
        ("cancelled", {}, 130),
        ("failed", {}, 1),
        ("failed", {"step_train_model": {"step": "train_model", "state": "failed", "exit_code": 4}}, 4),
        ("failed", {"step_train_model": {"step": "train_model", "state": "failed", "exit_code": 137}}, 1),
    ],
)
def test_the_exit_code_is_the_one_of_a_run_on_this_machine(
    state: str, documents: dict[str, object], code: int
) -> None:
    assert exit_code(Followed(look(state, ("train-model", "failed"))), documents) == code


def test_without_logs_the_journal_tells_the_error() -> None:
    record = {"step": "train_model", "state": "failed", "exit_code": 1, "error": "one class only"}
    followed = Followed(look("failed", ("train-model", "failed")))
    assert failures(followed, {"step_train_model": record}) == [("train-model", "one class only")]


def pod(name: str, path: str, created: str = "1", **status: object) -> dict[str, object]:
    annotations = {"workflows.argoproj.io/node-name": path}
    return {
        "metadata": {"name": name, "annotations": annotations, "creation_timestamp": created},
        "status": status,
    }


def test_the_newest_attempts_pod_is_found_by_the_nodes_path() -> None:
    pods = [
        pod("driver", "wf.root.fail-driver"),
        pod("first", "wf.root.fail.executor(0)"),
        pod("second", "wf.root.fail.executor(1)"),
        pod("other", "wf.root.exit-handler-1.say.executor"),
    ]
    found = newest_pod(pods, "fail")
    assert found is not None
    assert (found.name, found.attempt) == ("second", 2)
    assert not found.prepares
    driver = newest_pod(pods[:1], "fail")
    assert driver is not None
    assert (driver.name, driver.prepares) == ("driver", True)
    assert newest_pod(pods, "train-model") is None


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"reason": "Evicted", "message": "low on memory"}, "Evicted: low on memory"),
        (
            {"container_statuses": [{"state": {"terminated": {"reason": "OOMKilled", "message": None}}}]},
            "OOMKilled",
        ),
        (
            {"conditions": [{"reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]},
            "Unschedulable: 0/1 nodes: Insufficient cpu",
        ),
        ({"container_statuses": [{"state": {"terminated": {"reason": "Completed"}}}]}, ""),
        ({"container_statuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}, ""),
    ],
)
def test_why_a_pod_does_not_come_up(status: dict[str, object], told: str) -> None:
    assert pod_problem(pod("p", "x", **status)) == told


def test_a_terminated_run_is_cancelled_though_its_service_says_failed() -> None:
    document = json.loads((ANSWERS / "user-error.json").read_text(encoding="utf-8"))
    assert remote_run(document).state == "failed"
    document["state_history"].append({"state": "CANCELING", "update_time": "2026-11-25T09:55:30+00:00"})
    assert remote_run(document).state == "cancelled"


LAUNCHER_LOG = """\
      "uri": "minio://mlpipeline/v2/artifacts"
    }
I1125 09:59:07.342290      20 cache.go:77] Connecting to cache endpoint 10.96.188.127:8887
::progress::batch 3: generating 10 rows
    a line of the step's own that is indented
I1125 09:59:11.065812      20 launcher_v2.go:877] ExecutorOutput: {
  "artifacts": {
    "report": {}
  }
}
error: nothing works
F1125 09:44:27.576471      19 main.go:53] failed to execute component: exit status 2
time="2026-11-25T09:44:28.271Z" level=info msg="sub-process exited" argo=true error="<nil>"
Error: exit status 1
"""


def test_the_launchers_lines_are_left_out_of_a_steps_log() -> None:
    assert own_lines(LAUNCHER_LOG.splitlines(), cut=True) == (
        "::progress::batch 3: generating 10 rows",
        "    a line of the step's own that is indented",
        "error: nothing works",
    )
    assert own_lines(['{"own": "json"}'], cut=False) == ('{"own": "json"}',)


def test_an_image_that_cannot_be_pulled_is_told_once() -> None:
    back_off = 'Back-off pulling image "lakeloop/train:0.1.0": ErrImagePull: no such host'
    failed = 'failed to resolve reference "lakeloop/train:0.1.0": no such host'
    told = {
        pod_problem(pod("p", "x", container_statuses=[{"state": {"waiting": {"reason": r, "message": m}}}]))
        for r, m in (("ImagePullBackOff", back_off), ("ErrImagePull", failed))
    }
    assert told == {"the image lakeloop/train:0.1.0 cannot be pulled: no such host"}


def test_a_drivers_last_words_are_told_and_nothing_else_of_it() -> None:
    fatal = "F1125 09:44:27.576471      19 main.go:79] failed to resolve inputs: no output named x"
    assert last_words(f"I1125 a\n{fatal}\n") == "KFP's driver: failed to resolve inputs: no output named x"
    assert last_words('I1125 09:44:27.5 19 main.go:61] fine\n{\n  "a": 1\n}\n') == ""


def test_the_launchers_line_tells_the_steps_own_exit_code() -> None:
    assert exit_status("F1125 09:44:27.5 19 main.go:53] failed to execute component: exit status 4") == 4
    assert exit_status("error: something") is None
