"""Endpoints on a cluster with KServe in Standard mode: an InferenceService a version, a gateway an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.cluster import Cluster, poll
from lakeloop.adapters.kserve.endpoint_client import EndpointClient, Server, of_pod, of_service
from lakeloop.adapters.kserve.endpoint_objects import EndpointObjects
from lakeloop.adapters.kserve.gateway_objects import GatewayPlace
from lakeloop.adapters.kserve.inference_service import (
    ServedVersion,
    handle_in,
    identity_in,
    inference_service,
)
from lakeloop.adapters.kserve.model_store import ModelStore
from lakeloop.adapters.kserve.revision import is_ready
from lakeloop.adapters.kserve.waiting import Waiting
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.routes import Backend, Routes, finished, rolled_back, shifted
from lakeloop.settings import Settings

SWITCH_SECONDS = 30.0
DRAIN_SECONDS = 30.0
ANSWER_SECONDS = 20.0
"""A Service answers a moment after its pods are ready."""


def _untold(_: str) -> None:
    """Progress that nobody wants."""


class KServeDeployer:
    """Deployer (lakeloop.ports.deployer) of InferenceServices behind a gateway of our own."""

    target = "kserve"

    def __init__(
        self,
        settings: Settings,
        pods: ModelPods,
        timeout_seconds: float = 300.0,
        tell: Callable[[str], None] = _untold,
    ) -> None:
        """In `settings.endpoint_namespace` of the cluster that the environment names.

        Args:
            settings: namespace, image, place of models, replicas of gateways.
            pods: `deployment.pods` of the use case.
            timeout_seconds: limit for pods to come up.
            tell: told of what keeps them from it, meanwhile.
        """
        self._settings, self._pods = settings, pods
        self._cluster = Cluster(settings.endpoint_namespace)
        self._client = EndpointClient(self._cluster)
        self._models = ModelStore(settings.models_uri)
        self._waiting = Waiting(self._cluster, timeout_seconds, tell)

    def live(self, endpoint: str) -> Identity | None:
        """What answers now, asked through the endpoint's Service; None where nothing does."""
        service = self._objects(endpoint).service()
        return None if service is None else self._client.version(of_service(service))

    def start(self, endpoint: str, candidate: Candidate) -> str:
        """Start the candidate's InferenceService, or find it running; its handle, once it says who it is.

        Raises:
            LakeloopError: the model's bytes are not the registered ones, its pods do not come up (the reason in one
                line), or it is not what the candidate says: another model, another XGBoost.
        """
        manifest = self._manifest(endpoint, candidate)
        objects, handle = self._objects(endpoint), handle_in(manifest)
        try:
            self._run(objects, manifest)
            self._check_identity(objects, handle, candidate.identity)
        except LakeloopError:
            if objects.routes()[0].backend(handle) is None:
                objects.stop_model(handle)
                objects.forget(handle)
            raise
        return handle

    def predict(self, endpoint: str, handle: str, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Scores of the version behind the handle, asked of its own Service.

        Raises:
            LakeloopError: it does not run, or refuses the rows.
        """
        server = self._server(self._objects(endpoint), handle)
        return [float(score) for score in self._client.predict(server, rows)["scores"]]

    def shift(self, endpoint: str, handle: str) -> str:
        """Route all traffic to the handle's Service; returns once every gateway follows.

        Raises:
            LakeloopError: the version does not run, or a gateway does not come up or follow.
            ConflictError: another rollout changed the routes meanwhile.
        """
        objects = self._objects(endpoint)
        new = self._backend(objects, handle)
        if new is None:
            raise LakeloopError("the candidate's server does not run", where=f"endpoint {endpoint}")
        self._run_gateway(objects)
        routes, version = objects.routes()
        standby = routes.previous if routes.live == handle else routes.live
        self._switch(objects, shifted(routes, new, self._backend(objects, standby)), version)
        return f"http://{endpoint}.{self._cluster.namespace}.svc"

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live endpoint's whole answer.

        Raises:
            LakeloopError: nothing answers, or the rows are refused.
        """
        service = self._objects(endpoint).service()
        if service is None:
            raise LakeloopError("nothing runs", where=f"endpoint {endpoint}", fix="deploy a version")
        return self._client.predict(of_service(service), rows)

    def roll_back(self, endpoint: str, handle: str) -> None:
        """Back to what served before the handle did; a handle that does not serve is just stopped."""
        objects = self._objects(endpoint)
        routes, version = objects.routes()
        if routes.live == handle:
            previous = routes.previous
            if previous is not None:
                self._run(objects, objects.kept(previous))
                self._server(objects, previous)
                self._run_gateway(objects)
            self._switch(objects, rolled_back(routes, self._backend(objects, previous)), version)
            self._drain(objects, {b.url for b in routes.backends if b.handle == handle})
            objects.stop_model(handle)
        elif routes.backend(handle) is None:
            objects.stop_model(handle)

    def finish(self, endpoint: str, handle: str) -> None:
        """Stop every version but the live one, after its requests; keep the previous one's manifest.

        Raises:
            LakeloopError: the handle is not what is live.
        """
        objects = self._objects(endpoint)
        routes, version = objects.routes()
        if routes.live != handle:
            raise LakeloopError("another version is live", where=f"endpoint {endpoint}", fix="deploy again")
        self._switch(objects, finished(routes), version)
        self._drain(objects, {b.url for b in routes.backends if b.handle != handle})
        for other in objects.handles():
            if other != handle:
                objects.stop_model(other)
        objects.forget_all_but({handle, routes.previous or handle})

    def stop(self, endpoint: str) -> bool:
        """End gateway and versions; routes, manifests and models stay, so that a later start finds them."""
        return self._objects(endpoint).stop()

    def _objects(self, endpoint: str) -> EndpointObjects:
        return EndpointObjects(self._cluster, endpoint)

    def _manifest(self, endpoint: str, candidate: Candidate) -> dict[str, Any]:
        return inference_service(
            ServedVersion(
                endpoint=endpoint,
                namespace=self._cluster.namespace,
                image=self._settings.serve_image,
                model_uri=self._models.keep(candidate),
                identity=candidate.identity,
                pods=self._pods,
            )
        )

    def _run(self, objects: EndpointObjects, manifest: dict[str, Any]) -> None:
        objects.keep(manifest)
        objects.start_model(manifest)
        self._waiting.for_model(objects, handle_in(manifest))

    def _check_identity(self, objects: EndpointObjects, handle: str, expected: Identity) -> None:
        server = self._server(objects, handle)
        said = poll(lambda: self._client.version(server), ANSWER_SECONDS)
        if said is None:
            raise LakeloopError("the candidate's server does not say who it is", where=server.url)
        if told := expected.differences(said):
            raise LakeloopError(
                f"the candidate's server is not what was registered: {told}",
                where=server.url,
                fix="serve with an image made from the lock file of the training",
            )

    def _run_gateway(self, objects: EndpointObjects) -> None:
        if objects.routes()[1] is None:
            objects.write_routes(Routes(), None)
        objects.start_gateway(
            GatewayPlace(
                endpoint=objects.endpoint,
                namespace=self._cluster.namespace,
                image=self._settings.serve_image,
                replicas=self._settings.gateway_replicas,
            )
        )
        self._waiting.for_gateway(objects)

    def _server(self, objects: EndpointObjects, handle: str) -> Server:
        service = objects.predictor_service(handle) if objects.model(handle) else None
        if service is None:
            raise LakeloopError(
                "the candidate's server does not run",
                where=f"endpoint {objects.endpoint}",
                fix="deploy again",
            )
        return of_service(service)

    def _backend(self, objects: EndpointObjects, handle: str | None) -> Backend | None:
        model = None if handle is None else objects.model(handle)
        service = None if handle is None else objects.predictor_service(handle)
        if handle is None or model is None or service is None:
            return None
        return Backend(handle=handle, url=of_service(service).url, version=identity_in(model).version)

    def _switch(self, objects: EndpointObjects, routes: Routes, version: str | None) -> None:
        if routes != objects.routes()[0]:
            objects.write_routes(routes, version)
        if not poll(lambda: not self._behind(objects, routes.generation) or None, SWITCH_SECONDS):
            behind = ", ".join(self._behind(objects, routes.generation))
            raise LakeloopError(
                f"gateways that did not follow their routes in {SWITCH_SECONDS:g} s: {behind}",
                where=f"endpoint {objects.endpoint}",
                fix="see their /gateway/status: routes_problem; delete these pods, then deploy again",
            )

    def _behind(self, objects: EndpointObjects, generation: int) -> list[str]:
        """Gateway pods with traffic that follow older routes, or do not say."""
        statuses = self._statuses(objects)
        if not statuses and objects.gateway_deployment() is not None:
            return [names.gateway_name(objects.endpoint)]
        return [name for name, told in statuses.items() if int(told.get("generation", -1)) < generation]

    def _statuses(self, objects: EndpointObjects) -> dict[str, dict[str, Any]]:
        ready = [pod for pod in objects.gateway_pods() if is_ready(pod)]
        return {pod["metadata"]["name"]: self._client.gateway_status(of_pod(pod)) for pod in ready}

    def _drain(self, objects: EndpointObjects, urls: set[str]) -> None:
        """Until no gateway has a request under way there, for a limited time: the pods drain by themselves, too."""

        def busy() -> bool:
            return any(urls & set(told.get("in_flight", {})) for told in self._statuses(objects).values())

        poll(lambda: not busy() or None, DRAIN_SECONDS)
