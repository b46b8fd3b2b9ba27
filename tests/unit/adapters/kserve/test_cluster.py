"""The few verbs over the Kubernetes API, spoken to a small real server that answers as the API does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.kserve.cluster import Cluster
from lakeloop.adapters.kserve.endpoint_client import EndpointClient, Server
from lakeloop.domain.errors import ConflictError, LakeloopError, UserError
from tests.fakes.kubernetes_api import Api


def config_map(version: str | None = None, data: str = "new") -> dict[str, Any]:
    metadata = {"name": "r"} | ({"resourceVersion": version} if version else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": data}}


def test_an_object_that_is_not_there_is_none_and_its_deletion_no_error(api: Api, cluster: Cluster) -> None:
    api.answers = [(404, {"message": "not found"})]
    assert cluster.get("Service", "s") is None
    assert cluster.delete("InferenceService", "i") is False
    assert [seen[:2] for seen in api.seen] == [
        ("GET", "/api/v1/namespaces/ns/services/s"),
        ("DELETE", "/apis/serving.kserve.io/v1beta1/namespaces/ns/inferenceservices/i"),
    ]


def test_what_is_ours_alone_is_applied_and_what_is_contended_replaces_one_version(
    api: Api, cluster: Cluster
) -> None:
    cluster.apply(config_map())
    cluster.write_once(config_map())
    cluster.write_once(config_map("7"))
    assert [(method, path) for method, path, _ in api.seen] == [
        ("PATCH", "/api/v1/namespaces/ns/configmaps/r?fieldManager=lakeloop&force=true"),
        ("POST", "/api/v1/namespaces/ns/configmaps"),
        ("PUT", "/api/v1/namespaces/ns/configmaps/r"),
    ]
    assert api.seen[2][2]["metadata"]["resourceVersion"] == "7"


def test_who_comes_second_is_told_but_not_of_his_own_effect(api: Api, cluster: Cluster) -> None:
    api.answers = [(409, {"message": "the object has been modified"}), (200, config_map("8", "other"))]
    with pytest.raises(ConflictError, match="somebody else"):
        cluster.write_once(config_map("7"))
    api.answers = [(503, {}), (409, {"message": "already exists"}), (200, config_map("8", "new"))]
    cluster.write_once(config_map())


def test_a_cluster_that_is_away_for_a_moment_is_waited_for_and_one_that_stays_away_is_told(
    api: Api, cluster: Cluster
) -> None:
    api.answers = [(503, {}), (429, {}), (200, {"items": [{"metadata": {"name": "p"}}]})]
    assert cluster.list("Pod", {"a": "b", "c": "d"})[0]["metadata"]["name"] == "p"
    assert api.seen[-1][1] == "/api/v1/namespaces/ns/pods?labelSelector=a%3Db%2Cc%3Dd"
    api.answers = [(503, {"message": "etcd is away"})]
    with pytest.raises(LakeloopError, match="answered 503: etcd is away"):
        cluster.get("Pod", "p")
    api.server.shutdown()
    api.server.server_close()
    with pytest.raises(LakeloopError, match="does not answer"):
        Cluster("ns", unreachable_seconds=0).get("Pod", "p")


@pytest.mark.parametrize(
    ("status", "fix"), [(403, "give this account"), (401, "token"), (404, "install KServe")]
)
def test_a_refusal_says_what_to_do(api: Api, cluster: Cluster, status: int, fix: str) -> None:
    api.answers = [(status, {"message": "no"})]
    with pytest.raises(LakeloopError, match=f"answered {status}: no") as told:
        cluster.apply(config_map())
    assert fix in told.value.fix
    assert "PATCH /api/v1/namespaces/ns/configmaps/r" in told.value.where


def test_without_a_cluster_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UserError, match="no cluster can be reached"):
        Cluster("ns").get("Pod", "p")


def test_how_traffic_is_split_is_read_from_what_the_cluster_serves(api: Api, cluster: Cluster) -> None:
    schema = {
        "x-kubernetes-group-version-kind": [{"kind": "InferenceService"}],
        "properties": {"spec": {"properties": {"canary": {}}}},
    }
    groups = {"groups": [{"name": "gateway.networking.k8s.io"}]}
    api.answers = [(200, {"components": {"schemas": {"a": schema}}}), (200, groups)]
    assert cluster.traffic_split() == "spec.canary"
    api.answers = [(404, "404 page not found"), (200, {"groups": []})]
    assert cluster.traffic_split() == "gateway"


def test_from_outside_a_server_is_asked_through_the_proxy_in_its_own_words(
    api: Api, cluster: Cluster
) -> None:
    client = EndpointClient(cluster)
    server = Server(url="http://10.0.0.1", proxy_path="/api/v1/namespaces/ns/services/http:s:80/proxy")
    api.answers = [(200, {"scores": [0.5]})]
    assert client.predict(server, [{"a": 1}]) == {"scores": [0.5]}
    assert api.seen[-1] == ("POST", f"{server.proxy_path}/predict", {"rows": [{"a": 1}]})
    api.answers = [(422, {"error": "row 0: missing column 'a'"})]
    with pytest.raises(LakeloopError, match="answered 422: row 0: missing column 'a'"):
        client.predict(server, [{}])
    api.answers = [(503, {"kind": "Status", "message": "no endpoints available"})]
    assert client.version(server) is None
    api.answers = [(403, {"kind": "Status", "message": "cannot get services/proxy"})]
    with pytest.raises(LakeloopError, match="cannot get services/proxy"):
        client.version(server)
