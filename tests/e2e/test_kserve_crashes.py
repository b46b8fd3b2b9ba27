"""A rollout that dies right after any of its writes to the cluster, and is run again: as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.kserve.cluster import Cluster
from lakeloop.adapters.kserve.deployer import KServeDeployer
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.routes import Routes
from tests.e2e.endpoint_place import EndpointPlace, endpoint_place, wait_for
from tests.fakes.models import ROWS, model_folder

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(900)]
ENDPOINT = "card-fraud"
ROUTES = "/configmaps/card-fraud-routes"
ROLLOUT = [
    ("PATCH", "/configmaps/"),  # how the version is started is written down
    ("PATCH", "/inferenceservices/"),
    ("PATCH", "/poddisruptionbudgets/"),
    ("PATCH", "/deployments/"),
    ("PATCH", "/services/"),
    ("PUT", ROUTES),  # the candidate is known, without traffic
    ("PUT", ROUTES),  # it has all of it
    ("DELETE", "/inferenceservices/"),  # what served before ends
]
ROLLBACK = [("PATCH", "/configmaps/"), ("PATCH", "/inferenceservices/"), ("PUT", ROUTES), ("PUT", ROUTES)]


class PowerCut(BaseException):
    """No handler of the code under test sees it, as none sees a SIGKILL."""


class Cut:
    """Ends the process, so to say, right after the first write that matches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.point: tuple[str, str] | None = None
        once = Cluster.once

        def cut(cluster: Cluster, method: str, path: str, *more: Any, **named: Any) -> Any:
            answer = once(cluster, method, path, *more, **named)
            if self.point and method == self.point[0] and self.point[1] in path:
                self.point = None
                raise PowerCut
            return answer

        monkeypatch.setattr(Cluster, "once", cut)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointPlace]:
    with endpoint_place(tmp_path_factory.mktemp("place")) as place:
        yield place


def deployer(place: EndpointPlace) -> KServeDeployer:
    settings = place.settings.model_copy(update={"gateway_replicas": 1})
    return KServeDeployer(settings, ModelPods(cpu="25m"), tell=print)


def routes(place: EndpointPlace) -> Routes:
    text = place.kubectl("get", "configmap", "card-fraud-routes", "-o", r"jsonpath={.data.routes\.json}")
    return Routes.model_validate_json(text)


def count(place: EndpointPlace, kind: str, part: str) -> int:
    selector = f"lakeloop.dev/endpoint={ENDPOINT},app.kubernetes.io/component={part}"
    return len(place.kubectl("get", kind, "-l", selector, "-o", "name").split())


def test_a_rollout_and_a_rollback_that_die_after_any_write_are_completed_by_running_them_again(
    place: EndpointPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (model_folder(tmp_path / str(n), seed=n, version=str(n)) for n in (1, 2))
    ours = deployer(place)
    old = ours.start(ENDPOINT, first)
    ours.shift(ENDPOINT, old)
    ours.finish(ENDPOINT, old)
    cut = Cut(monkeypatch)

    def roll_out() -> str:
        again = deployer(place)
        handle = again.start(ENDPOINT, second)
        again.shift(ENDPOINT, handle)
        again.finish(ENDPOINT, handle)
        return handle

    for cut.point in ROLLOUT:
        with pytest.raises(PowerCut):
            roll_out()
        assert deployer(place).ask(ENDPOINT, ROWS)["model_version"] in {"1", "2"}
    new = roll_out()
    assert deployer(place).live(ENDPOINT).version == "2"
    assert (routes(place).live, routes(place).previous) == (new, old)
    assert [b.weight for b in routes(place).backends] == [100]
    wait_for(lambda: count(place, "inferenceservices", "predictor") == 1, 120, "only the new version runs")
    assert count(place, "configmaps", "kept") == 2

    for cut.point in ROLLBACK:
        with pytest.raises(PowerCut):
            deployer(place).roll_back(ENDPOINT, new)
        assert deployer(place).ask(ENDPOINT, ROWS)["model_version"] in {"1", "2"}
    deployer(place).roll_back(ENDPOINT, new)
    assert deployer(place).live(ENDPOINT).version == "1"
    assert routes(place).live == old
