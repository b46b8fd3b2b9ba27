"""What `make kind-up` leaves: everything ready, nobody with a right too many, stores that both engines reach."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.rights import Right, of_overlay, rights
from tests.e2e.cluster import PLATFORM, STEPS, Cluster
from tests.e2e.left_behind import told_secrets
from tests.e2e.step_pods import step_pod

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600, func_only=True)]

ROOT = Path(__file__).parents[2]
OVERLAYS = ("kind", "cluster")
ACCOUNTS = (
    (STEPS, "lakeloop-steps"),
    (PLATFORM, "lakeloop-submit"),
    (PLATFORM, "lakeloop-trigger"),
    (PLATFORM, "lakeloop-endpoint"),
)
EVERYBODYS = {"authorization.k8s.io", "authentication.k8s.io"}
"""API groups in which any account may ask about itself."""

BY_PYICEBERG = """
import sys
import pyarrow as pa
from lakeloop.adapters.iceberg.catalog import open_catalog
from lakeloop.mounts import provide_mounted_variables
from lakeloop.settings import Settings
provide_mounted_variables()
catalog = open_catalog(Settings())
catalog.create_namespace(sys.argv[1])
table = catalog.create_table(f"{sys.argv[1]}.t", pa.schema([("n", pa.int64())]))
table.append(pa.table({"n": [1, 2, 3]}))
print("rows", catalog.load_table(f"{sys.argv[1]}.t").scan().to_arrow().num_rows)
"""
BY_SPARK = """
import sys
from lakeloop.adapters.spark.session import spark_session
from lakeloop.mounts import provide_mounted_variables
from lakeloop.settings import Settings
provide_mounted_variables()
with spark_session(Settings(), "e2e", rows=1) as spark:
    spark.sql(f"INSERT INTO lake.{sys.argv[1]}.t VALUES (4)")
    print("rows", spark.table(f"lake.{sys.argv[1]}.t").count())
    spark.range(5).write.parquet(f"s3a://lakeloop/staging/{sys.argv[1]}")
    print("parquet", spark.read.parquet(f"s3a://lakeloop/staging/{sys.argv[1]}").count())
    spark.sql(f"DROP TABLE lake.{sys.argv[1]}.t PURGE")
    spark.sql(f"DROP NAMESPACE lake.{sys.argv[1]}")
"""


def test_everything_is_ready(cluster: Cluster) -> None:
    assert cluster.unready() == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_the_manifests(cluster: Cluster, namespace: str, overlay: str) -> None:
    """Into an empty namespace: what is installed already would only say what may not be changed."""
    rendered = cluster.kubectl("kustomize", str(ROOT / "manifests/overlays" / overlay))
    objects = [o for o in yaml.safe_load_all(rendered) if o["kind"] != "Namespace"]
    steps = {"kubeflow": [], "lakeloop": []}
    for one in objects:
        steps[one["metadata"]["namespace"]].append(one)
    for found in steps.values():
        for one in found:
            one["metadata"]["namespace"] = namespace
        words = ("apply", "--server-side", "--validate=strict", "--dry-run=server", "--filename", "-")
        said = cluster.kubectl(*words, text=yaml.safe_dump_all(found))
        assert said.count("serverside-applied") == len(found)


@pytest.mark.parametrize("account", ACCOUNTS, ids=[name for _, name in ACCOUNTS])
@pytest.mark.parametrize("where", [PLATFORM, STEPS, "default"])
def test_an_account_may_do_what_is_declared_and_nothing_else(
    cluster: Cluster, account: tuple[str, str], where: str
) -> None:
    assert held(cluster, account, where) == declared_for(cluster, account, where)


def held(cluster: Cluster, account: tuple[str, str], where: str) -> set[Right]:
    """What the API server says the account may do there."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": where},
    }
    user = f"system:serviceaccount:{account[0]}:{account[1]}"
    words = ("create", "--validate=false", "--as", user, "--filename", "-", "--output", "json")
    rules = json.loads(cluster.kubectl(*words, text=json.dumps(review)))["status"]["resourceRules"]
    return {right for right in rights(rules) if right.group not in EVERYBODYS}


def declared_for(cluster: Cluster, account: tuple[str, str], where: str) -> set[Right]:
    """What the Roles of the overlay say, through its RoleBindings."""
    named = of_overlay(cluster.programs)
    return {one.right for one in named if (one.account, one.namespace) == (":".join(account), where)}


def test_a_pod_that_may_do_more_than_it_needs_is_refused(cluster: Cluster) -> None:
    pod = step_pod("greedy", "lakeloop/train:0.1.0", ["python"])
    pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 0
    del pod["spec"]["serviceAccountName"]
    words = ("--namespace", PLATFORM, "create", "--dry-run=server", "--filename", "-")
    with pytest.raises(LakeloopError, match="violates PodSecurity"):
        cluster.kubectl(*words, text=json.dumps(pod))


def test_no_pod_of_ours_holds_a_token_that_it_does_not_use(cluster: Cluster) -> None:
    pods = cluster.json("--namespace", PLATFORM, "get", "pods")["items"]
    stores = [
        p
        for p in pods
        if p["metadata"]["labels"].get("app.kubernetes.io/name") in {"postgres", "mlflow", "valkey"}
    ]
    assert stores
    assert all(p["spec"].get("automountServiceAccountToken") is False for p in stores)


def test_mlflow_keeps_an_experiment_and_an_artifact(
    mlflow_url: str, use_case_name: str, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(mlflow_url)
    run = client.create_run(client.create_experiment(use_case_name))
    file = tmp_path / "a.txt"
    file.write_text("kept", encoding="utf-8")
    client.log_artifact(run.info.run_id, str(file))
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    fetched = Path(client.download_artifacts(run.info.run_id, "a.txt", str(tmp_path)))
    assert fetched.read_text(encoding="utf-8") == "kept"
    client.delete_experiment(run.info.experiment_id)


@pytest.fixture
def pod_name(cluster: Cluster) -> Iterator[str]:
    name = f"e2e-{secrets.token_hex(4)}"
    yield name
    for pod in (f"{name}-arrow", f"{name}-spark"):
        cluster.kubectl("--namespace", STEPS, "delete", "pod", pod, "--ignore-not-found", "--wait=false")


def test_both_engines_use_one_catalog_and_one_store(
    cluster: Cluster, pod_name: str, use_case_name: str
) -> None:
    arrow, spark = f"{pod_name}-arrow", f"{pod_name}-spark"
    command = ["python", "-c", BY_PYICEBERG, use_case_name]
    cluster.apply(step_pod(arrow, "lakeloop/train:0.1.0", command), STEPS)
    good, log = cluster.wait_for_pod(STEPS, arrow, seconds=300)
    assert good, log
    assert "rows 3" in log

    command = ["python", "-c", BY_SPARK, use_case_name]
    local = {"LAKELOOP_SPARK_MASTER": "local[1]"}
    cluster.apply(step_pod(spark, "lakeloop/spark:0.1.0", command, local), STEPS)
    good, log = cluster.wait_for_pod(STEPS, spark, seconds=420)
    assert good, log
    assert "rows 4" in log
    assert "parquet 5" in log


def test_no_password_is_where_it_can_be_read(cluster: Cluster) -> None:
    """Not in manifests, ConfigMaps, pods, logs or events of our namespaces: only in Secrets."""
    seen = cluster.kubectl(
        "--namespace", PLATFORM, "get", "pods,configmaps,deployments,statefulsets,jobs,events", "-o", "yaml"
    )
    for pod in cluster.json("--namespace", PLATFORM, "get", "pods")["items"]:
        seen += cluster.kubectl(
            "--namespace", PLATFORM, "logs", pod["metadata"]["name"], "--all-containers", "--tail=2000"
        )
    assert told_secrets(seen.encode()) == []
