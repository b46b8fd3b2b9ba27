"""A version with a transformer is up when both its Deployments are; what keeps one from it is told by name."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.cluster import Cluster
from lakeloop.adapters.kserve.endpoint_objects import EndpointObjects
from lakeloop.adapters.kserve.inference_service import handle_in, inference_service
from lakeloop.adapters.kserve.waiting import Waiting
from lakeloop.domain.errors import LakeloopError
from scripts.endpoint_examples import example_version
from tests.fakes.kubernetes_api import Api

ENDPOINT = "card-fraud"


def up(manifest: dict[str, Any]) -> dict[str, Any]:
    """As the API gives it, once its controller has seen it."""
    metadata = {**manifest["metadata"], "generation": 1}
    return {**manifest, "metadata": metadata, "status": {"observedGeneration": 1}}


SERVICE = up(inference_service(example_version(transformer=True)))
HANDLE = handle_in(SERVICE)


def deployment(handle: str = HANDLE, ready: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"labels": {names.HANDLE_LABEL: handle}}}},
        "status": {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": ready},
    }


def pod(name: str, *, ready: bool = False, **container: Any) -> dict[str, Any]:
    statuses = [{"name": names.SERVING_CONTAINER, "restartCount": 3, **container}] if container else []
    return {
        "metadata": {"name": name, "labels": {names.HANDLE_LABEL: HANDLE}},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": statuses,
        },
    }


def wait(cluster: Cluster, seconds: float = 5) -> None:
    Waiting(cluster, seconds, print).for_model(EndpointObjects(cluster, ENDPOINT), HANDLE)


def asked(api: Api) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for _, path, _ in api.seen]


def test_a_version_is_up_when_predictor_and_transformer_are(api: Api, cluster: Cluster) -> None:
    nobody = (200, {"items": []})
    late = [(200, SERVICE), (200, deployment()), (200, deployment(ready=0)), nobody]
    api.answers = [*late, (200, SERVICE), (200, deployment()), (200, deployment())]
    wait(cluster)
    wanted = [f"card-fraud-{HANDLE}", f"card-fraud-{HANDLE}-predictor", f"card-fraud-{HANDLE}-transformer"]
    assert asked(api) == [*wanted, "pods", *wanted]


def test_a_transformer_that_ends_at_its_start_is_told_with_the_end_of_its_log(
    api: Api, cluster: Cluster
) -> None:
    ended = pod(
        "t-1",
        state={"waiting": {"reason": "CrashLoopBackOff"}},
        lastState={"terminated": {"exitCode": 1}},
    )
    pods = (200, {"items": [pod("p-1", ready=True), ended]})
    api.answers = [(200, SERVICE), (200, deployment()), (200, deployment(ready=0)), pods, (200, "error: no")]
    with pytest.raises(LakeloopError, match=r"pod t-1 ended with exit code 1.*its log ends: .*error: no"):
        wait(cluster)


def test_a_transformer_that_waits_is_told_with_what_it_waits_for(api: Api, cluster: Cluster) -> None:
    pods = (200, {"items": [pod("p-1", ready=True), pod("t-1")]})
    look = [(200, SERVICE), (200, deployment()), (200, deployment(ready=0)), pods]
    api.answers = [*look, (200, "waiting for the predictor: refused")]
    with pytest.raises(LakeloopError, match=r"pod t-1 is not ready yet.*waiting for the predictor: refused"):
        wait(cluster, -1)


def test_a_deployment_that_kserve_has_not_made_is_told_in_its_words(api: Api, cluster: Cluster) -> None:
    condition = {"type": "TransformerReady", "status": "False", "message": "no quota"}
    refused = {**SERVICE, "status": {"observedGeneration": 1, "conditions": [condition]}}
    api.answers = [(200, refused), (200, deployment()), (404, {}), (200, {"items": []})]
    with pytest.raises(LakeloopError, match="KServe: no quota"):
        wait(cluster, -1)


def test_callers_are_led_to_the_transformer_where_there_is_one(api: Api, cluster: Cluster) -> None:
    objects = EndpointObjects(cluster, ENDPOINT)
    plain = up(inference_service(example_version()))
    objects.front_service(SERVICE)
    objects.front_service(plain)
    assert asked(api) == [f"card-fraud-{HANDLE}-transformer", f"card-fraud-{handle_in(plain)}-predictor"]
