"""A version of two servers on the real cluster: KServe's transformer makes features, its predictor scores."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lakeloop.adapters.kserve.deployer import KServeDeployer
from lakeloop.adapters.kserve.names import (
    CREDENTIALS_SECRET,
    GRPC_PORT,
    SERVICE_PORT,
    predictor_name,
    transformer_name,
)
from lakeloop.adapters.redis.online_store import RedisOnlineStore
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Candidate
from tests.e2e.endpoint_place import EndpointPlace, endpoint_place, forwarded, wait_for
from tests.e2e.test_kserve_endpoint import ENDPOINT, deployer, end_load, roll_out, start_load
from tests.fakes.models import ROWS, two_versions
from tests.fakes.online import EVERYONE, publish_everyone
from tests.fakes.open_inference import Stub, inference, scores

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
STORE_URI, STORE_PORT = "redis://online:6379/0", 6379


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    return two_versions(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointPlace]:
    with endpoint_place(tmp_path_factory.mktemp("place")) as place:
        place.apply(*online_store())
        name_store(place, STORE_URI)
        place.kubectl("wait", "pod/online", "--for=condition=Ready", "--timeout=120s")
        with forwarded(place.namespace, "svc/online", STORE_PORT) as port:
            publish_everyone(RedisOnlineStore(f"redis://127.0.0.1:{port}/0"))
        yield place


def online_store() -> list[dict[str, Any]]:
    """A Valkey without a password and its Service."""
    labels = {"app": "online"}
    container = {
        "name": "valkey",
        "image": "valkey/valkey:8.1.1",
        "args": ["valkey-server", "--save", "", "--dir", "/tmp", "--protected-mode", "no"],  # noqa: S108
        "readinessProbe": {"tcpSocket": {"port": STORE_PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"automountServiceAccountToken": False, "securityContext": security, "containers": [container]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "online", "labels": labels}, "spec": pod},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "online"},
            "spec": {"selector": labels, "ports": [{"port": STORE_PORT}]},
        },
    ]


def with_transformer(place: EndpointPlace, seconds: float = 300, **changed: Any) -> KServeDeployer:
    settings = place.settings.model_copy(update={"online_store_uri": STORE_URI, **changed})
    return KServeDeployer(
        settings, ModelPods(cpu="25m"), seconds, tell=print, online_features=True, transformer=True
    )


@contextlib.contextmanager
def calling(place: EndpointPlace) -> Iterator[httpx.Client]:
    """A caller of the endpoint."""
    with (
        forwarded(place.namespace, f"svc/{ENDPOINT}", SERVICE_PORT) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as caller,
    ):
        yield caller


def parts_running(place: EndpointPlace, handle: str) -> list[str]:
    listed = place.kubectl(
        "get", "pods", "-l", f"lakeloop.dev/handle={handle}", "-o", "jsonpath={.items[*].metadata.name}"
    )
    names = (predictor_name(ENDPOINT, handle), transformer_name(ENDPOINT, handle))
    return sorted(name for pod in listed.split() for name in names if pod.startswith(name))


def test_every_form_is_answered_through_the_transformer_by_values_and_by_id(
    place: EndpointPlace, models: list[Candidate]
) -> None:
    plain = deployer(place)
    roll_out(plain, models[0])
    wanted = plain.ask(ENDPOINT, ROWS)
    ours = with_transformer(place)
    handle, _ = roll_out(ours, models[0])
    assert parts_running(place, handle) == [
        predictor_name(ENDPOINT, handle),
        transformer_name(ENDPOINT, handle),
    ]
    told = ours.ask(ENDPOINT, ROWS)
    assert (told["scores"], told["decisions"]) == (wanted["scores"], wanted["decisions"])
    assert ours.live(ENDPOINT).version == told["model_version"] == "1"
    with calling(place) as caller:
        by_id = caller.post("/predictions", json={"ids": list(EVERYONE)}).json()
        v1 = caller.post("/v1/models/fraud:predict", json={"instances": ROWS}).json()
        unknown = caller.post("/predictions", json={"ids": ["nobody"]})
    assert by_id["scores"] == v1["predictions"] == told["scores"]
    assert unknown.status_code == 404
    with forwarded(place.namespace, f"svc/{ENDPOINT}", GRPC_PORT) as port:
        assert scores(Stub(f"127.0.0.1:{port}").infer(inference(ROWS))) == told["scores"]
    seen = {part: variables(place, handle, part) for part in ("predictor", "transformer")}
    assert "LAKELOOP_ONLINE_STORE_URI" not in seen["predictor"]
    assert seen["transformer"] & {"AWS_SECRET_ACCESS_KEY", "LAKELOOP_ONLINE_STORE_URI"} == {
        "LAKELOOP_ONLINE_STORE_URI"
    }


def variables(place: EndpointPlace, handle: str, part: str) -> set[str]:
    """Names of what the part's container has in its environment, once it runs."""
    match = f"lakeloop.dev/handle={handle},app.kubernetes.io/component={part}"
    (pod,) = place.kubectl("get", "pods", "-l", match, "-o", "name").split()
    script = "import os; print(*os.environ)"
    return set(place.kubectl("exec", pod, "-c", "kserve-container", "--", "python", "-c", script).split())


def test_no_request_fails_from_a_predictor_alone_to_two_servers_and_back(
    place: EndpointPlace, models: list[Candidate]
) -> None:
    _, url = roll_out(deployer(place), models[0])
    start_load(place, url)
    ours = with_transformer(place)
    second, _ = roll_out(ours, models[1])
    assert ours.live(ENDPOINT).version == "2"
    ours.roll_back(ENDPOINT, second)
    assert ours.live(ENDPOINT).version == "1"
    told = end_load(place)
    assert told["failed"] == 0, told["failures"]
    assert set(told["versions"]) == {"1", "2"}
    wait_for(lambda: parts_running(place, second) == [], 120, "both servers have ended")


def test_a_predictor_that_is_away_is_told_by_the_transformer_and_comes_back(
    place: EndpointPlace, models: list[Candidate]
) -> None:
    ours = with_transformer(place)
    handle, _ = roll_out(ours, models[0])
    name = predictor_name(ENDPOINT, handle)
    with calling(place) as caller:

        def asked() -> httpx.Response:
            return caller.post("/predictions", json={"rows": ROWS})

        place.kubectl("delete", "pods", "-l", f"app=isvc.{name}", "--force", "--grace-period=0")
        refused = [answer for answer in (asked() for _ in range(20)) if answer.status_code != 200]
        assert {(a.status_code, "does not answer" in a.json()["error"]) for a in refused} <= {(503, True)}
        wait_for(lambda: asked().status_code == 200, 120, "the predictor is back")


def test_a_transformer_that_does_not_come_up_is_told(place: EndpointPlace, models: list[Candidate]) -> None:
    plain = deployer(place)
    roll_out(plain, models[0])
    name_store(place, "nosuch://x")
    try:
        with pytest.raises(
            LakeloopError, match=r"-transformer-.*exit code 1.*its log ends: .*no online store of"
        ):
            with_transformer(place, 120).start(ENDPOINT, models[1])
    finally:
        name_store(place, STORE_URI)
    assert plain.ask(ENDPOINT, ROWS)["model_version"] == "1"


def name_store(place: EndpointPlace, uri: str) -> None:
    changed = {"stringData": {"LAKELOOP_ONLINE_STORE_URI": uri}}
    place.kubectl("patch", "secret", CREDENTIALS_SECRET, "--type=merge", "-p", json.dumps(changed))
