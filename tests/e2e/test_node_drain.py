"""A node is drained in the middle of the first training: the run ends with the reason, the next goes on from there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.loop_place import Ended, Loop, at_work, when
from tests.e2e.spark_place import kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(1800)]
ROWS = 10_000


@pytest.fixture(scope="module")
def drained(loop: Loop) -> Ended:
    """As `kubectl drain` does it: no new pod comes to the node, and the training's pod is evicted from it."""

    def longer(document: dict[str, Any]) -> None:
        document["train"].update(rounds=6000, early_stopping_rounds=6000)
        document["train"]["params"].update(learning_rate=0.002, max_depth=8)

    code, told, said = loop.command("submit", str(loop.variant(longer)), "--detach")
    assert code == 0, said
    run_id = str(told["run_id"])
    trains = when(lambda: at_work(run_id, "train-model", "round"), 600, "the training is under way")
    node = kubectl("-n", "kubeflow", "get", "pod", trains, "-o", "jsonpath={.spec.nodeName}")
    chosen = (f"--pod-selector=pipeline/runid={run_id}", "--timeout=120s")
    try:
        kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", *chosen)
    finally:
        kubectl("uncordon", node)
    return loop.follow(run_id)


def test_the_run_ends_with_the_reason_and_holds_nothing(loop: Loop, drained: Ended) -> None:
    assert drained.exit_code == 1, drained.said
    assert "drained with its node" in drained.told["error"]["problem"]
    assert loop.rows() == ROWS
    state = loop.status()
    assert (state["claim"], state["champion"]) == (None, None)
    assert state["plan"]["action"] == "append-scan"


def test_the_next_run_trains_the_same_range_once(loop: Loop, drained: Ended, mlflow_url: str) -> None:
    claimed = [e for e in loop.events() if e["pipeline_run_id"] == drained.run_id and e["kind"] == "claimed"]
    ended = loop.submit("--no-batch")
    assert ended.exit_code == 0, ended.said
    assert loop.rows() == ROWS, "the batch landed once"
    decided = [e for e in loop.events() if e["pipeline_run_id"] == ended.run_id]
    kinds = [e["kind"] for e in decided if e["kind"] not in {"claimed", "released"}]
    assert kinds == ["accepted", "promoted"]
    assert {e["range"]["to_snapshot_id"] for e in decided} == {claimed[0]["range"]["to_snapshot_id"]}
    state = loop.status()
    assert state["champion"] == state["endpoint"]["version"] == "1"
    assert state["plan"]["action"] == "nothing"

    from mlflow.tracking import MlflowClient

    client = MlflowClient(mlflow_url)
    run = client.get_run(ended.told["training"]["mlflow_run_id"])
    assert len(client.search_runs([run.info.experiment_id], "attributes.status = 'FINISHED'")) == 1
