"""An endpoint on the real cluster: what a caller sees while versions come, go and fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.kserve.deployer import KServeDeployer
from lakeloop.adapters.kserve.names import GRPC_PORT, predictor_name
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Candidate
from lakeloop.settings import Settings
from tests.e2e.endpoint_place import EndpointPlace, endpoint_place, forwarded, wait_for
from tests.fakes.models import ROWS, candidate, model_folder, two_versions
from tests.fakes.open_inference import Stub, inference, scores

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
ENDPOINT = "card-fraud"
RATE, SECONDS = 50, 420
ONE_POD = ModelPods(cpu="25m")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    return two_versions(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointPlace]:
    with endpoint_place(tmp_path_factory.mktemp("place")) as place:
        yield place


def deployer(
    place: EndpointPlace, seconds: float = 300, pods: ModelPods = ONE_POD, **changed: Any
) -> KServeDeployer:
    settings: Settings = place.settings.model_copy(update=changed)
    return KServeDeployer(settings, pods, seconds, tell=print)


def roll_out(deployer_: KServeDeployer, model: Candidate, endpoint: str = ENDPOINT) -> tuple[str, str]:
    handle = deployer_.start(endpoint, model)
    url = deployer_.shift(endpoint, handle)
    deployer_.finish(endpoint, handle)
    return handle, url


def versions_running(place: EndpointPlace, endpoint: str = ENDPOINT) -> int:
    listed = place.kubectl(
        "get", "inferenceservices", "-l", f"lakeloop.dev/endpoint={endpoint}", "-o", "name"
    )
    return len(listed.split())


def start_load(place: EndpointPlace, url: str) -> None:
    """A pod that sends `RATE` requests a second until `end_load`, for `SECONDS` at most."""
    script = Path(__file__).with_name("open_loop.py").read_text(encoding="utf-8")
    container = {
        "name": "load",
        "image": place.settings.serve_image,
        "command": ["python", "-c", script, url, str(SECONDS), str(RATE)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "25m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    }
    place.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "load"},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
            },
        }
    )
    place.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=120s")


def end_load(place: EndpointPlace) -> dict[str, Any]:
    """What became of it."""
    place.kubectl("exec", "load", "--", "touch", "/tmp/end")  # noqa: S108 - in the pod
    place.kubectl("wait", "pod/load", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=150s")
    told: dict[str, Any] = json.loads(place.kubectl("logs", "load").splitlines()[-1])
    print(json.dumps(told, indent=1))
    place.kubectl("delete", "pod", "load", "--wait=false")
    return told


def test_no_request_fails_through_a_redeploy_and_a_rollback_at_fifty_requests_a_second(
    place: EndpointPlace, models: list[Candidate]
) -> None:
    ours = deployer(place)
    _, url = roll_out(ours, models[0])
    start_load(place, url)
    second = ours.start(ENDPOINT, models[1])
    ours.shift(ENDPOINT, second)
    assert ours.live(ENDPOINT).version == "2"
    ours.finish(ENDPOINT, second)
    assert versions_running(place) <= 2
    ours.roll_back(ENDPOINT, second)
    assert ours.live(ENDPOINT).version == "1"
    told = end_load(place)
    assert told["failed"] == 0, told["failures"]
    assert sum(told["versions"].values()) == told["sent"]
    assert min(told["versions"].values()) > RATE, "each version had its second of requests"


def test_grpc_answers_as_http_does(place: EndpointPlace, models: list[Candidate]) -> None:
    ours = deployer(place)
    handle, _ = roll_out(ours, models[0])
    told = ours.ask(ENDPOINT, ROWS)
    for service in (ENDPOINT, predictor_name(ENDPOINT, handle)):
        with forwarded(place.namespace, f"svc/{service}", GRPC_PORT) as port:
            answer = Stub(f"127.0.0.1:{port}").infer(inference(ROWS))
        assert scores(answer) == told["scores"]
        assert answer.model_version == told["model_version"] == "1"


def test_a_bad_image_is_named_and_what_serves_goes_on(place: EndpointPlace, models: list[Candidate]) -> None:
    ours = deployer(place)
    roll_out(ours, models[0])
    bad = deployer(place, serve_image="lakeloop/serve:no-such-tag")
    with pytest.raises(LakeloopError, match=r"image .*lakeloop/serve:no-such-tag cannot be pulled") as told:
        bad.start(ENDPOINT, models[1])
    assert "\n" not in str(told.value)
    assert "LAKELOOP_SERVE_IMAGE" in told.value.fix
    assert ours.ask(ENDPOINT, ROWS)["model_version"] == "1"
    wait_for(lambda: versions_running(place) == 1, 120, "the bad candidate is gone")


def test_a_server_that_ends_at_start_is_told_with_the_end_of_its_log(
    place: EndpointPlace, models: list[Candidate], tmp_path: Path
) -> None:
    ours = deployer(place)
    broken = model_folder(tmp_path / "broken", expression="nope + 1")
    with pytest.raises(LakeloopError, match=r"exit code 1.*its log ends: .*error: .*nope"):
        ours.start(ENDPOINT, broken)
    other = candidate(Path(models[1].model_folder), version="2", xgboost_version="0.90")
    with pytest.raises(LakeloopError, match=r"xgboost_version is .*, expected 0.90"):
        ours.start(ENDPOINT, other)


def test_pods_that_fit_nowhere_and_pods_without_memory_are_told(
    place: EndpointPlace, models: list[Candidate]
) -> None:
    huge = deployer(place, 15, ModelPods(cpu="900", cpu_limit="1000"))
    with pytest.raises(LakeloopError, match=r"no node takes pod .*Insufficient cpu.*15 s were allowed"):
        huge.start(ENDPOINT, models[0])
    small = deployer(place, pods=ModelPods(memory="24Mi", memory_limit="24Mi"))
    with pytest.raises(LakeloopError, match="out of memory") as told:
        small.start(ENDPOINT, models[0])
    assert told.value.fix == "raise deployment.pods.memory_limit"


def test_pods_that_the_cluster_refuses_are_told(place: EndpointPlace, models: list[Candidate]) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"limits.memory": "1Mi"}},
    }
    place.apply(quota)
    try:
        with pytest.raises(LakeloopError, match=r"the cluster refuses its pods: .*exceeded quota: none"):
            deployer(place, 20).start("other", models[0])
    finally:
        place.kubectl("delete", "resourcequota", "none")


def test_a_version_proved_with_two_gateways_survives_the_loss_of_pods(
    place: EndpointPlace, models: list[Candidate]
) -> None:
    ours = deployer(place, pods=ModelPods(replicas=2, cpu="25m"))
    _, url = roll_out(ours, models[0])
    start_load(place, url)
    for part in ("predictor", "gateway"):
        pods = place.kubectl("get", "pods", "-l", f"app.kubernetes.io/component={part}", "-o", "name")
        place.kubectl("delete", pods.split()[0], "--timeout=120s")
    told = end_load(place)
    assert told["failed"] == 0, told["failures"]


def test_a_stopped_endpoint_leaves_nothing_that_runs(place: EndpointPlace, models: list[Candidate]) -> None:
    ours = deployer(place)
    roll_out(ours, models[0])
    assert ours.stop(ENDPOINT) is True
    kinds = "inferenceservices,deployments,services,poddisruptionbudgets"
    assert place.kubectl("get", kinds, "-l", f"lakeloop.dev/endpoint={ENDPOINT}", "-o", "name") == ""
    assert ours.live(ENDPOINT) is None
    assert ours.stop(ENDPOINT) is False
