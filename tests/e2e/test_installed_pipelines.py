"""`kubectl apply -k pipelines/`: Kubeflow Pipelines has the committed pipelines, and runs one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lakeloop.cli.app import app
from scripts.golden import pipeline_names
from tests.e2e.cluster import STEPS, Cluster
from tests.e2e.loop_place import when

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PIPELINES = Path(__file__).parents[2] / "pipelines"


@pytest.fixture(scope="module")
def client(cluster: Cluster, kfp_url: str) -> Any:
    from kfp import Client

    cluster.kubectl("apply", "--kustomize", str(PIPELINES))
    return Client(host=kfp_url, namespace=STEPS)


@pytest.fixture(scope="module")
def installed(client: Any) -> dict[str, Any]:
    """The version of each pipeline that the API lists, by the version's name."""

    def listed() -> dict[str, Any] | None:
        pipelines = client.list_pipelines(page_size=100).pipelines or []
        each = (client.list_pipeline_versions(one.pipeline_id).pipeline_versions or [] for one in pipelines)
        found = {version.display_name: version for versions in each for version in versions}
        return found if found.keys() >= set(map(version_name, pipeline_names())) else None

    found: dict[str, Any] = when(listed, 60, "Kubeflow Pipelines lists all of them")
    return found


def version_name(pipeline: str) -> str:
    documents = yaml.safe_load_all((PIPELINES / pipeline / "kubernetes.yaml").read_text(encoding="utf-8"))
    (name,) = [one["metadata"]["name"] for one in documents if one["kind"] == "PipelineVersion"]
    return str(name)


def test_applying_again_changes_nothing(cluster: Cluster, installed: dict[str, Any]) -> None:
    said = cluster.kubectl("apply", "--kustomize", str(PIPELINES)).splitlines()
    assert len(said) == 2 * len(pipeline_names())
    assert [line for line in said if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize("pipeline", pipeline_names())
def test_a_version_is_what_is_committed(installed: dict[str, Any], pipeline: str) -> None:
    held = installed[version_name(pipeline)].pipeline_spec
    held = held.get("pipeline_spec", held)
    committed = next(yaml.safe_load_all((PIPELINES / pipeline / "pipeline.yaml").read_text(encoding="utf-8")))
    assert held["pipelineInfo"]["name"] == committed["pipelineInfo"]["name"]
    executors = committed["deploymentSpec"]["executors"]
    for name, executor in held["deploymentSpec"]["executors"].items():
        assert executor["container"]["image"] == executors.pop(name)["container"]["image"]
    assert executors == {}


def test_a_run_of_an_installed_version_ends_well(client: Any, installed: dict[str, Any]) -> None:
    version = installed[version_name("tidy")]
    told = json.loads(CliRunner().invoke(app, ["validate", "card_fraud", "--json"]).stdout)
    run = client.run_pipeline(
        client.create_experiment("e2e-installed").experiment_id,
        "e2e-installed-tidy",
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"use_case": json.dumps(told), "mode": "show"},
        service_account="lakeloop-steps",
    )
    ended = client.wait_for_run_completion(run.run_id, timeout=400, sleep_duration=5)
    assert ended.state == "SUCCEEDED", ended.error
