"""What is up is told by generation and label, never by a condition."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.adapters.kserve.endpoint_client import of_pod, of_service
from lakeloop.adapters.kserve.names import HANDLE_LABEL
from lakeloop.adapters.kserve.revision import all_updated, is_ready, pods_of, rolled_out

SERVICE = {"metadata": {"generation": 2}, "status": {"observedGeneration": 2}}


def deployment(**changed: Any) -> dict[str, Any]:
    facts = {
        "generation": 3,
        "seen": 3,
        "replicas": 2,
        "label": "h",
        "updated": 2,
        "available": 2,
        "all": 2,
    } | changed
    return {
        "metadata": {"generation": facts["generation"]},
        "spec": {
            "replicas": facts["replicas"],
            "template": {"metadata": {"labels": {HANDLE_LABEL: facts["label"]}}},
        },
        "status": {
            "observedGeneration": facts["seen"],
            "replicas": facts["all"],
            "updatedReplicas": facts["updated"],
            "availableReplicas": facts["available"],
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


def test_a_deployment_that_has_rolled_out_is_one() -> None:
    assert rolled_out(SERVICE, deployment(), "h")
    assert all_updated(deployment())


@pytest.mark.parametrize(
    "changed",
    [{"seen": 2}, {"updated": 1}, {"available": 1}, {"label": "older"}, {"replicas": 0}],
    ids=lambda changed: next(iter(changed)),
)
def test_available_of_something_older_is_not_taken_for_the_candidate(changed: dict[str, Any]) -> None:
    assert not rolled_out(SERVICE, deployment(**changed), "h")


def test_an_inference_service_that_kserve_has_not_looked_at_yet_is_not_up() -> None:
    unseen = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}
    assert not rolled_out(unseen, deployment(), "h")
    assert not rolled_out(None, deployment(), "h")
    assert not rolled_out(SERVICE, None, "h")


def test_a_gateway_with_an_old_pod_left_is_not_all_updated() -> None:
    assert not all_updated(deployment(all=3))
    assert not all_updated(None)


def test_only_the_candidates_own_pods_count_and_not_those_that_end() -> None:
    def pod(handle: str, created: str, **more: str) -> dict[str, Any]:
        return {"metadata": {"labels": {HANDLE_LABEL: handle}, "creationTimestamp": created, **more}}

    old, new = pod("h", "2026-01-01"), pod("h", "2026-01-02")
    ending = pod("h", "2026-01-03", deletionTimestamp="now")
    assert pods_of([old, pod("other", "2026-01-02"), new, ending], "h") == [new, old]
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert is_ready(old | ready)
    assert not is_ready(ending | ready)
    assert not is_ready(old)


@pytest.mark.parametrize(
    ("cluster_ip", "url"),
    [("10.0.0.1", "http://10.0.0.1"), ("fd00::1", "http://[fd00::1]"), ("None", "http://m.ns.svc:8080")],
)
def test_a_service_is_called_by_its_address_and_a_headless_one_by_its_name_at_the_pods_port(
    cluster_ip: str, url: str
) -> None:
    ports = [{"name": "m", "port": 80, "targetPort": 8080}]
    service = {
        "metadata": {"name": "m", "namespace": "ns"},
        "spec": {"clusterIP": cluster_ip, "ports": ports},
    }
    assert of_service(service).url == url
    assert of_service(service).proxy_path == "/api/v1/namespaces/ns/services/http:m:80/proxy"


def test_a_pod_is_called_by_its_address() -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}, "status": {"podIP": "fd00::7"}}
    assert of_pod(pod).url == "http://[fd00::7]:8080"
