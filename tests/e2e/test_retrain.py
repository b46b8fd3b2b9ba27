"""The main job on the cluster, as `lakeloop submit` does it: one history of one use case, looked at from all sides.

Each run costs minutes, so the tests share them, in this order: a first model; a second one against it, whose ingest is
killed on the way; a poisoned batch; a version that the gate rejects; a run that is terminated; a bad serving image;
a rollback.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.left_behind import of_a_run, of_mlflow, of_the_store, told_secrets
from tests.e2e.loop_place import Ended, Loop, executors_of, log_of, pods_of, when
from tests.e2e.spark_place import kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
ROWS = 10_000
STEPS = [
    "generate-batch",
    "profile-batch",
    "ingest-batch",
    "build-training-set",
    "publish-features",
    "train-model",
    "evaluate-model",
    "register-model",
    "redeploy-endpoint",
    "report-run",
]
KILL = """
import os, signal, sys
for pid in filter(str.isdigit, os.listdir("/proc")):
    if sys.argv[1] in open(f"/proc/{pid}/cmdline").read().split(chr(0))[:3]:
        os.kill(int(pid), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def first(loop: Loop) -> Ended:
    return loop.submit()


@pytest.fixture(scope="module")
def second(loop: Loop, first: Ended) -> Ended:
    """Its ingest is killed, with SIGKILL, while it works on the batch and its executors run."""
    run_id = loop.detached()

    def at_work() -> str:
        for pod in pods_of(run_id, "ingest-batch"):
            name = str(pod["metadata"]["name"])
            if "write, audit, publish" in log_of(name) and executors_of(name):
                return name
        return ""

    killed = when(at_work, 300, "the ingest is at work")
    kill(killed, "components.ingest_batch")
    return loop.follow(run_id)


def kill(pod: str, module: str) -> None:
    """SIGKILL to the step's process, as the kernel does when memory is out."""
    kubectl("-n", "kubeflow", "exec", pod, "-c", "main", "--", "python", "-c", KILL, module)


@pytest.fixture(scope="module")
def poisoned(loop: Loop, second: Ended) -> Ended:
    """Without executors, as `engine: local` has it: the smallest runs of a cluster."""
    without = loop.variant(lambda document: document.update(engine="local"))
    return loop.submit("--plant", "out_of_range:age=0.2", file=without)


@pytest.fixture(scope="module")
def rejected(loop: Loop, poisoned: Ended) -> Ended:
    def stricter(document: dict[str, Any]) -> None:
        document.update(engine="local")
        document["gate"].update(floor=0.99)

    return loop.submit(file=loop.variant(stricter))


def kinds(loop: Loop) -> list[str]:
    return [e["kind"] for e in loop.events() if e["kind"] not in {"claimed", "released"}]


def answers(loop: Loop) -> dict[str, object]:
    """The live endpoint's own word, by its Service."""
    endpoint = loop.name.replace("_", "-")
    path = f"/api/v1/namespaces/lakeloop/services/http:{endpoint}:80/proxy/version"
    return dict(json.loads(kubectl("get", "--raw", path)))


def test_a_first_model_is_landed_trained_judged_and_served(loop: Loop, first: Ended) -> None:
    assert first.exit_code == 0, first.said
    assert first.states == dict.fromkeys(STEPS, "succeeded")
    assert loop.rows() == ROWS
    assert first.told["ingest"]["rows"] == ROWS
    assert first.told["verdict"]["bootstrap"] is True
    assert first.told["rollout"]["target"] == "kserve"
    assert first.told["rollout"]["rows_proved"] == 50
    assert first.told["rollout"]["max_score_difference"] < 1e-5
    assert len(first.told["rollout"]["sample_response"]["scores"]) == 1
    assert kinds(loop) == ["accepted", "promoted"]


def test_the_second_is_judged_against_the_first_though_its_ingest_was_killed(
    loop: Loop, second: Ended
) -> None:
    assert second.exit_code == 0, second.said
    assert len(pods_of(second.run_id, "ingest-batch")) == 2, "the killed attempt, and the one that went on"
    assert loop.rows() == 2 * ROWS, "landed once"
    verdict = second.told["verdict"]
    assert (verdict["bootstrap"], verdict["champion_version"]) == (False, "1")
    assert verdict["decision"] == "promote"
    assert verdict["champion"]["metrics"]["roc_auc"]["value"] > 0.75
    assert second.told["plan"]["range"]["from_snapshot_id"] == snapshot(loop, "promoted", 0)
    assert second.told["plan"]["added_rows"] == ROWS


def snapshot(loop: Loop, kind: str, place: int) -> str:
    """End of the range of one of the ledger's events."""
    return str([e for e in loop.events() if e["kind"] == kind][place]["range"]["to_snapshot_id"])


def test_ledger_registry_and_endpoint_agree_on_the_second(loop: Loop, second: Ended, mlflow_url: str) -> None:
    from mlflow.tracking import MlflowClient

    state = loop.status()
    assert (state["champion"], state["endpoint"]["version"]) == ("2", "2")
    assert state["endpoint"]["to_snapshot_id"] == state["watermark"]["snapshot_id"]
    assert answers(loop)["version"] == "2"
    assert state["plan"]["action"] == "nothing"
    assert state["claim"] is None
    client = MlflowClient(mlflow_url)
    champion = client.get_model_version_by_alias(loop.name, "champion")
    assert champion.version == "2"
    run = client.get_run(second.told["training"]["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert state["watermark"]["snapshot_id"] in json.dumps(run.data.tags)
    listed = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert "report" in listed


def test_no_secret_is_in_what_a_run_leaves(
    loop: Loop, second: Ended, mlflow_url: str, tmp_path: Path
) -> None:
    """Not in an object, the pipeline included, in a log, journal, event log or artifact, nor in MLflow."""
    from mlflow.tracking import MlflowClient

    recorded = of_mlflow(MlflowClient(mlflow_url), second.told["training"]["mlflow_run_id"], tmp_path)
    places: list[str] = []
    for place, content in itertools.chain(
        of_a_run(second.run_id), of_the_store((second.run_id, loop.name, "spark-events")), recorded
    ):
        places.append(place)
        assert told_secrets(content) == [], place
    for kind in ("workflows", "log of", "s3://lakeloop/journal", "s3://mlpipeline", "MLflow artifact"):
        assert any(kind in place for place in places), kind


def test_what_was_predicted_is_in_the_table_once(loop: Loop, second: Ended) -> None:
    predicted = loop.predict()
    when(lambda: loop.logged(predicted), 120, "the pod's log is shipped")
    assert loop.logged(predicted) == 1


def test_a_killed_driver_leaves_no_executor(second: Ended) -> None:
    for pod in pods_of(second.run_id, "ingest-batch"):
        name = str(pod["metadata"]["name"])
        when(lambda name=name: not executors_of(name), 60, f"the executors of {name} are gone")  # type: ignore[misc]


def test_a_poisoned_batch_never_becomes_visible(loop: Loop, poisoned: Ended) -> None:
    assert poisoned.exit_code == 2, poisoned.said
    assert poisoned.states["ingest-batch"] == "failed"
    assert poisoned.states.get("train-model", "not_run") in {"not_run", "skipped"}
    ((step, error),) = [(f["step"], f["error"]) for f in poisoned.told["failures"]]
    assert step == "ingest-batch"
    assert "range(age)" in error
    assert poisoned.told["ingest"]["outcome"] == "refused"
    assert poisoned.told["ingest"]["quarantine_uri"].startswith("s3://")
    assert kinds(loop)[-1] == "batch_refused"
    assert answers(loop)["version"] == "2"


def test_the_gates_rejection_is_a_green_run_that_changes_nothing_that_serves(
    loop: Loop, rejected: Ended
) -> None:
    assert rejected.exit_code == 0, rejected.said
    assert rejected.states["evaluate-model"] == "succeeded"
    assert rejected.states["redeploy-endpoint"] == "skipped"
    assert rejected.told["verdict"]["decision"] == "reject"
    assert any(
        "floor" in check["name"] for check in rejected.told["verdict"]["checks"] if not check["passed"]
    )
    assert loop.rows() == 3 * ROWS
    assert kinds(loop)[-1] == "rejected"
    assert snapshot(loop, "rejected", -1) == loop.status()["watermark"]["snapshot_id"]
    assert answers(loop)["version"] == "2"


def test_a_terminated_run_leaves_no_executor_and_does_not_hold_the_use_case(
    loop: Loop, rejected: Ended
) -> None:
    run_id = loop.detached()

    def drives() -> str:
        named = [str(p["metadata"]["name"]) for p in pods_of(run_id, "build-training-set")]
        return next((name for name in named if executors_of(name)), "")

    driver = when(drives, 600, "the step that claims the use case has executors")
    with loop.here.starts("terminate", run_id) as terminating:
        when(lambda: not executors_of(driver), 60, "no executor of a run that is being terminated is left")
        assert terminating.wait(timeout=180) == 0
    ended = loop.follow(run_id)
    assert ended.exit_code == 130, ended.said
    assert ended.states.get("register-model") != "succeeded", "it was ended in its middle"
    mine = [e["kind"] for e in loop.events() if e["pipeline_run_id"] == run_id]
    assert mine[0] == "claimed"
    assert mine[-1] == "released", "it held the use case, until it was ended"
    state = loop.status()
    assert state["claim"] is None
    assert state["endpoint"]["version"] == "2"


def test_a_bad_serving_image_is_told_and_what_serves_goes_on(loop: Loop, rejected: Ended) -> None:
    words = ("promote", str(loop.file), "1", "--reason", "to see it fail")
    code, _, said = loop.command(*words, LAKELOOP_SERVE_IMAGE="lakeloop/serve:no-such-tag")
    assert code == 1
    assert "lakeloop/serve:no-such-tag cannot be pulled" in said
    assert kinds(loop)[-1] == "rollout_failed"
    state = loop.status()
    assert (state["champion"], state["endpoint"]["version"], state["claim"]) == ("2", "2", None)


def test_a_rollback_brings_the_first_version_back(loop: Loop, rejected: Ended) -> None:
    predicted = loop.predict()
    code, told, said = loop.command("rollback", str(loop.file), "--reason", "the test says so")
    assert code == 0, said
    assert (told["version"], told["previous_version"]) == ("1", "2")
    state = loop.status()
    assert (state["champion"], state["endpoint"]["version"]) == ("1", "1")
    assert answers(loop)["version"] == "1"
    last = loop.events()[-1]
    assert (last["kind"], last["reason"]) == ("rolled_back", "the test says so")
    assert state["watermark"]["snapshot_id"] == snapshot(loop, "rejected", -1), "a rollback consumes nothing"
    when(lambda: loop.logged(predicted), 120, "what the old version's pod had answered is shipped as it ends")
    assert loop.logged(predicted) == 1
