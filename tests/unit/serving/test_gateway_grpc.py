"""gRPC through the gateway: to whom, what comes back, and what happens when a predictor goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from lakeloop.adapters.local.process import wait_until
from lakeloop.domain.routes import Backend, Routes
from lakeloop.serving.api import Guards, Limits
from lakeloop.serving.gateway.app import Gateway
from lakeloop.serving.gateway.backends import Backends
from lakeloop.serving.gateway.grpc_calls import GrpcBackends, GrpcCalls
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.http import Tokens
from lakeloop.serving.listener import reserve
from lakeloop.serving.model import load
from tests.fakes.models import ROWS, model_folder
from tests.fakes.open_inference import Stub, grpc_serving, inference, methods_serving, scores
from tests.unit.serving.test_gateway import call, write

HOSTS = {"1": "127.0.0.2", "2": "127.0.0.3"}
"""Each version has an address of its own, as on a cluster, and answers gRPC at the same port."""


@dataclass
class Place:
    folders: dict[str, Path]
    routes: Path
    port: int
    gateway: Gateway
    stub: Stub

    def route(self, generation: int, **weights: int) -> None:
        backends = tuple(
            Backend(handle=f"h{v}", url=f"http://{HOSTS[v]}:80", version=v, weight=weights[f"v{v}"])
            for v in HOSTS
            if f"v{v}" in weights
        )
        write(self.routes, Routes(generation=generation, backends=backends))

    @contextmanager
    def serving(self, version: str, guards: Guards | None = None) -> Iterator[None]:
        with grpc_serving(self.folders[version], guards, at=(HOSTS[version], self.port)):
            yield

    def offline(self, version: str) -> list[float]:
        return load(self.folders[version]).scores(ROWS)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folders = {v: Path(model_folder(tmp_path / v, seed=int(v), version=v).model_folder) for v in HOSTS}
    with reserve("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    counts, routes = Backends(), RoutesFile(tmp_path / "routes.json")
    gateway = Gateway("fraud", routes, counts)
    with methods_serving(gateway, GrpcCalls(routes, GrpcBackends(port, counts)), Limits()) as stub:
        yield Place(folders, tmp_path / "routes.json", port, gateway, stub)


def test_calls_follow_the_routes_and_say_which_version_answered(place: Place) -> None:
    with place.serving("1"), place.serving("2"):
        for version, weights in (("1", {"v1": 100, "v2": 0}), ("2", {"v1": 0, "v2": 100})):
            place.route(int(version), **weights)
            answer, behind = told(place.stub)
            assert (scores(answer), answer.model_version) == (place.offline(version), version)
            assert behind["lakeloop-model-version"] == version
        place.route(3, v1=50, v2=50)
        seen = {place.stub.infer(inference(ROWS)).model_version for _ in range(40)}
    assert seen == {"1", "2"}
    assert place.offline("1") != place.offline("2")


def told(stub: Stub) -> tuple[Any, dict[str, str]]:
    """An answer, and the metadata behind it."""
    request = inference(ROWS)
    function = stub.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=type(stub.infer(request)).FromString,
    )
    answer, ended = function.with_call(request, timeout=20)
    return answer, dict(ended.trailing_metadata())


def test_what_a_predictor_refuses_is_refused_in_its_words(place: Place) -> None:
    place.route(1, v1=100)
    with place.serving("1", Guards(Tokens(["secret"]))):
        token = (("authorization", "Bearer secret"), ("lakeloop-purpose", "proof"))
        assert place.stub.refused("ModelInfer", inference(ROWS))[0] == "UNAUTHENTICATED"
        assert scores(place.stub.infer(inference(ROWS), metadata=token)) == place.offline("1")
        wrong = place.stub.refused("ModelInfer", inference([]), metadata=token)
        assert wrong == ("INVALID_ARGUMENT", "rows is empty: send at least one")
        other = place.stub.refused("ModelInfer", inference(ROWS, model_name="x"), metadata=token)
        assert other == ("NOT_FOUND", "the model here is fraud, version 1")
        assert place.stub.refused("RepositoryModelLoad", metadata=token)[0] == "UNIMPLEMENTED"
        assert place.stub.refused("ModelStreamInfer", metadata=token)[0] == "UNIMPLEMENTED"
        assert place.stub.call("ServerReady").ready


def test_without_a_model_or_a_predictor_a_call_is_unavailable_and_says_why(place: Place) -> None:
    assert place.stub.refused("ModelInfer", inference(ROWS)) == ("UNAVAILABLE", "no model is deployed")
    assert place.stub.call("Check").status == 2, "not serving"
    place.route(1, v1=100)
    assert place.stub.call("Check").status == 1
    assert place.stub.refused("ModelInfer", inference(ROWS)) == (
        "UNAVAILABLE",
        "version 1 did not answer: UNAVAILABLE",
    )
    with place.serving("1"):
        assert scores(place.stub.infer(inference(ROWS))) == place.offline("1"), "and at once when it is back"


def test_a_predictor_that_is_full_is_not_taken_for_one_that_is_gone(place: Place) -> None:
    place.route(1, v1=100)
    with place.serving("1", Guards(limits=Limits(calls_at_once=0))):
        code, text = place.stub.refused("ModelInfer", inference(ROWS))
    assert (code, text) == ("UNAVAILABLE", "too many calls at once; try again")


def test_no_call_fails_while_a_predictor_of_two_ends_and_comes_back(place: Place) -> None:
    place.route(1, v1=50, v2=50)
    ended, failed, answered = threading.Event(), list[Exception](), [0]

    def load_it() -> None:
        while not ended.is_set():
            try:
                place.stub.infer(inference(ROWS))
                answered[0] += 1
            except Exception as error:  # noqa: BLE001 - told below
                failed.append(error)

    def more() -> bool:
        before = answered[0]
        return wait_until(lambda: answered[0] > before + 20 or failed != [], 30)

    with place.serving("2"):
        threads = [threading.Thread(target=load_it) for _ in range(2)]
        with place.serving("1"):
            for thread in threads:
                thread.start()
            assert more()
        assert more()
        with place.serving("1"):
            assert more()
            ended.set()
            for thread in threads:
                thread.join(20)
    assert failed == []


class _Ending(grpc.GenericRpcHandler):  # type: ignore[misc]
    """What grpcio's server says to a call that comes in while it ends."""

    def service(self, _: Any) -> Any:
        async def cancelled(__: bytes, context: Any) -> None:
            await context.abort(grpc.StatusCode.CANCELLED, "CANCELLED")

        return grpc.unary_unary_rpc_method_handler(cancelled)


def test_a_call_that_an_ending_predictor_cancelled_is_answered_by_the_other(place: Place) -> None:
    place.route(1, v1=99, v2=1)
    ending = methods_serving(place.gateway, _Ending(), Limits(), (HOSTS["1"], place.port))
    with place.serving("2"), ending:
        for _ in range(5):
            assert scores(place.stub.infer(inference(ROWS))) == place.offline("2")


def test_grpc_calls_are_in_the_gateway_s_counts(place: Place) -> None:
    place.route(1, v1=100)
    with place.serving("1"):
        for _ in range(3):
            place.stub.infer(inference(ROWS))
        status = call(place.gateway, "GET", "/gateway/status").json()
    assert (status["backends"][0]["answered"], status["in_flight"]) == (3, {})
