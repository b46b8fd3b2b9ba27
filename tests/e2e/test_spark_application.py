"""The API server, with the Spark operator's own CRD, takes the operator's form of a step; nothing is started."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lakeloop.adapters.spark.on_kubernetes.spark_application import API_VERSION
from lakeloop.cli.app import app
from lakeloop.domain.errors import LakeloopError
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
OPERATOR = "github.com/kubeflow/spark-operator/v2@v2.4.0"
CRD = "sparkapplications.sparkoperator.k8s.io"


@pytest.fixture(scope="module")
def crd(cluster: Cluster) -> Iterator[str]:
    """Installed from the operator's Go module, where Go is there to fetch it, and removed again."""
    if shutil.which("go") is None:
        pytest.skip("no Go here, which fetches the Spark operator's CRD")
    words = ["go", "mod", "download", "-json", OPERATOR]
    told = json.loads(subprocess.run(words, check=True, capture_output=True, timeout=240).stdout)
    file = Path(told["Dir"], "config/crd/bases/sparkoperator.k8s.io_sparkapplications.yaml")
    cluster.kubectl("apply", "--server-side", "--filename", str(file))
    cluster.kubectl("wait", f"crd/{CRD}", "--for=condition=Established", "--timeout=60s")
    yield CRD
    cluster.kubectl("delete", "crd", CRD, "--wait=false")


def test_the_api_server_takes_it_and_would_not_take_an_unknown_field(
    cluster: Cluster, crd: str, namespace: str
) -> None:
    printed = CliRunner().invoke(app, ["spark-application", "card_fraud", "--run-id", "by-hand-1"])
    assert printed.exit_code == 0, printed.output
    document = yaml.safe_load(printed.stdout)
    assert document["apiVersion"] == API_VERSION
    document["metadata"]["namespace"] = namespace
    words = ("create", "--validate=strict", "--dry-run=server", "--filename", "-", "--output", "name")
    assert cluster.kubectl(*words, text=json.dumps(document)).strip().endswith("/card-fraud-by-hand-1")
    document["spec"]["driver"]["memoryMiB"] = 1024
    with pytest.raises(LakeloopError, match="memoryMiB"):
        cluster.kubectl(*words, text=json.dumps(document))
