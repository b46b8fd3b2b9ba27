"""An endpoint's gateway pods: new orders, and whether each of them follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.cluster import poll
from lakeloop.adapters.kserve.endpoint_client import EndpointClient, Server, of_pod
from lakeloop.adapters.kserve.endpoint_objects import EndpointObjects
from lakeloop.adapters.kserve.inference_service import identity_in
from lakeloop.adapters.kserve.revision import is_ready
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Identity
from lakeloop.domain.routes import Backend, Routes, introduced

SWITCH_SECONDS = 30.0
REACH_SECONDS = 60.0
DRAIN_SECONDS = 30.0


class Gateways:
    """All gateway pods that get traffic now."""

    def __init__(self, objects: EndpointObjects, client: EndpointClient) -> None:
        self._objects, self._client = objects, client

    def follow(self, change: Callable[[Routes], Routes]) -> None:
        """Write changed routes, and wait until every gateway follows them.

        Raises:
            ConflictError: another rollout changed the routes at the same time.
            LakeloopError: a gateway does not follow in time.
        """
        before, version = self._objects.routes()
        routes = change(before)
        if routes != before:
            self._objects.write_routes(routes, version)
        if poll(lambda: not self._behind(routes.generation) or None, SWITCH_SECONDS) is None:
            raise LakeloopError(
                f"gateways that did not follow their routes in {SWITCH_SECONDS:g} s: "
                f"{', '.join(self._behind(routes.generation))}",
                where=f"endpoint {self._objects.endpoint}",
                fix="see routes_problem in their /gateway/status; delete these pods, then deploy again",
            )

    def introduce(self, backend: Backend) -> None:
        """Make a backend known without traffic, and wait until every gateway reaches it.

        A Service's address leads to its pods a moment after they are ready; traffic that came before would go to
        the version that stands by.

        Raises:
            LakeloopError: a gateway does not reach it, or somebody else in its place, in time.
        """
        expected = identity_in(self._objects.kept(backend.handle))
        self.follow(lambda now: introduced(now, backend))
        if poll(lambda: not self._apart(backend, expected) or None, REACH_SECONDS) is None:
            raise LakeloopError(
                f"gateways that do not reach version {backend.version} at {backend.url}: "
                f"{', '.join(self._apart(backend, expected))}",
                where=f"endpoint {self._objects.endpoint}",
                fix="see the NetworkPolicies between gateway and predictor, and the cluster's DNS",
            )

    def drain(self, urls: set[str]) -> None:
        """Until no gateway has a request under way there, for a limited time: the pods drain by themselves, too."""
        poll(lambda: not self._busy(urls) or None, DRAIN_SECONDS)

    def _behind(self, generation: int) -> list[str]:
        """Gateway pods that follow older routes, or do not say."""
        statuses = {name: self._client.gateway_status(server) for name, server in self._servers().items()}
        if not statuses and self._objects.gateway_deployment() is not None:
            return [names.gateway_name(self._objects.endpoint)]
        return [name for name, told in statuses.items() if int(told.get("generation", -1)) < generation]

    def _apart(self, backend: Backend, expected: Identity) -> list[str]:
        told = {
            name: self._client.apart(server, backend.handle, expected)
            for name, server in self._servers().items()
        }
        return [f"{name} ({why})" for name, why in told.items() if why]

    def _busy(self, urls: set[str]) -> bool:
        told: list[dict[str, Any]] = [self._client.gateway_status(s) for s in self._servers().values()]
        return any(urls & set(status.get("in_flight", {})) for status in told)

    def _servers(self) -> dict[str, Server]:
        ready = [pod for pod in self._objects.gateway_pods() if is_ready(pod)]
        return {pod["metadata"]["name"]: of_pod(pod) for pod in ready}
