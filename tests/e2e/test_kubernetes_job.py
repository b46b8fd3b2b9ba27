"""A whole run in one Job, with the account of `manifests/base/jobs` and no Kubeflow Pipelines on its way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.loop_place import Loop, loop_place
from tests.e2e.spark_place import kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(1500)]
MANIFESTS = Path(__file__).parents[2] / "manifests/base/jobs"
ROWS = 10_000
ON = ("--on", "kubernetes-job")


@pytest.fixture
def loop(cluster: Cluster, tmp_path: Path) -> Iterator[Loop]:
    cluster.kubectl("apply", "--server-side", "--kustomize", str(MANIFESTS))
    try:
        with loop_place(tmp_path) as loop:
            yield loop
    finally:
        cluster.kubectl("delete", "--kustomize", str(MANIFESTS), "--wait=false")


def test_a_run_in_one_job_lands_trains_judges_and_serves_and_one_key_is_one_job(loop: Loop) -> None:
    ended = loop.submit(*ON, "--key", "nightly")
    assert ended.exit_code == 0, ended.said
    assert ended.told["verdict"]["bootstrap"] is True
    assert ended.told["rollout"]["target"] == "kserve"
    assert loop.rows() == ROWS
    state = loop.status()
    assert (state["champion"], state["endpoint"]["version"], state["claim"]) == ("1", "1", None)
    pods = kubectl("-n", "lakeloop", "get", "pods", "-l", f"job-name={ended.run_id}", "-o", "json")
    (pod,) = json.loads(pods)["items"]
    assert pod["spec"]["serviceAccountName"] == "lakeloop-steps"
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    executors = kubectl("-n", "lakeloop", "get", "pods", "-l", "spark-role=executor", "-o", "name")
    assert executors.split() == []

    again = loop.submit(*ON, "--key", "nightly")
    assert (again.exit_code, again.run_id) == (0, ended.run_id)
    assert loop.rows() == ROWS
    log = loop.here.lakeloop("logs", ended.run_id, *ON, seconds=120)
    assert log.returncode == 0, log.stderr
    assert "redeploy" in log.stdout
