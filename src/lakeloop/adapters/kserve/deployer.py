"""Endpoints on a cluster with KServe in Standard mode: an InferenceService a version, a gateway an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lakeloop.adapters.kserve.cluster import Cluster, poll
from lakeloop.adapters.kserve.endpoint_client import EndpointClient, Server, of_service
from lakeloop.adapters.kserve.endpoint_objects import EndpointObjects
from lakeloop.adapters.kserve.gateway_objects import GatewayPlace
from lakeloop.adapters.kserve.gateways import Gateways
from lakeloop.adapters.kserve.inference_service import (
    ServedVersion,
    handle_in,
    identity_in,
    inference_service,
)
from lakeloop.adapters.kserve.model_store import ModelStore
from lakeloop.adapters.kserve.waiting import Waiting
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.routes import Backend, Routes, finished, rolled_back, shifted, withdrawn
from lakeloop.settings import Settings

ANSWER_SECONDS = 20.0
"""A Service answers a moment after its pods are ready."""


def _untold(_: str) -> None:
    """Progress that nobody wants."""


class KServeDeployer:
    """Deployer (lakeloop.ports.deployer) of InferenceServices behind a gateway of our own."""

    target = "kserve"

    def __init__(  # noqa: PLR0913 - what a use case says of its deployment
        self,
        settings: Settings,
        pods: ModelPods,
        timeout_seconds: float = 300.0,
        tell: Callable[[str], None] = _untold,
        *,
        online_features: bool = False,
        transformer: bool = False,
    ) -> None:
        """In `settings.endpoint_namespace` of the cluster that the environment names.

        Args:
            settings: namespace, images, place of models, replicas of gateways; with a catalog that pods reach,
                predictions are logged there.
            pods: `deployment.pods` of the use case.
            timeout_seconds: limit for pods to come up.
            tell: told of what keeps them from it, meanwhile.
            online_features: ids are answered, too, where the step knows an online store.
            transformer: of the use case; features are made in pods of their own.
        """
        self._online_features = online_features and bool(settings.online_store_uri)
        self._settings, self._pods, self._transformer = settings, pods, transformer
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
            backend = objects.routes()[0].backend(handle)
            if backend is None or backend.dark:
                objects.stop_model(handle)
                objects.forget(handle)
            raise
        return handle

    def serves(self, endpoint: str, handle: str) -> bool:
        """Whether the traffic goes to this handle already."""
        return self._objects(endpoint).routes()[0].live == handle

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
            LakeloopError: the version does not run, a gateway does not come up, reach it or follow, or the endpoint's
                Service does not lead to them.
            ConflictError: another rollout changed the routes meanwhile.
        """
        objects = self._objects(endpoint)
        new = self._backend(objects, handle)
        if new is None:
            raise LakeloopError("the candidate's server does not run", where=f"endpoint {endpoint}")
        gateways = self._gateways(objects)
        self._run_gateway(objects)
        gateways.introduce(new)
        routes, _ = objects.routes()
        standby = routes.previous if routes.live == handle else routes.live
        gateways.follow(lambda now: shifted(now, new, self._backend(objects, standby)))
        self._wait_for_answer(objects)
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
        objects, gateways = self._objects(endpoint), self._gateways(self._objects(endpoint))
        routes, _ = objects.routes()
        if routes.live == handle:
            previous = None if routes.previous is None else self._bring_back(objects, routes.previous)
            gateways.follow(lambda now: rolled_back(now, previous))
            gateways.drain({b.url for b in routes.backends if b.handle == handle})
        else:
            gateways.follow(lambda now: withdrawn(now, handle))
        if objects.routes()[0].backend(handle) is None:
            objects.stop_model(handle)

    def finish(self, endpoint: str, handle: str) -> None:
        """Stop every version but the live one, after its requests; keep the previous one's manifest.

        Raises:
            LakeloopError: the handle is not what is live.
        """
        objects, gateways = self._objects(endpoint), self._gateways(self._objects(endpoint))
        routes, _ = objects.routes()
        if routes.live != handle:
            raise LakeloopError("another version is live", where=f"endpoint {endpoint}", fix="deploy again")
        gateways.follow(finished)
        gateways.drain({b.url for b in routes.backends if b.handle != handle})
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
                online_features=self._online_features,
                shipper_image=self._shipper_image(),
                transformer=self._transformer,
            )
        )

    def _shipper_image(self) -> str:
        image = self._settings.shipper_image
        return image if self._settings.iceberg_catalog and image != "none" else ""

    def _run(self, objects: EndpointObjects, manifest: dict[str, Any]) -> None:
        objects.keep(manifest)
        objects.start_model(manifest)
        self._waiting.for_model(objects, handle_in(manifest))

    def _bring_back(self, objects: EndpointObjects, handle: str) -> Backend:
        self._run(objects, objects.kept(handle))
        backend = self._backend(objects, handle)
        if backend is None:
            raise LakeloopError(
                "the version to go back to does not run", where=f"endpoint {objects.endpoint}"
            )
        self._run_gateway(objects)
        self._gateways(objects).introduce(backend)
        return backend

    def _wait_for_answer(self, objects: EndpointObjects) -> None:
        """A new Service leads to its gateways a moment after they are ready: no caller shall be told of it before."""
        if poll(lambda: self.live(objects.endpoint), ANSWER_SECONDS) is None:
            raise LakeloopError(
                f"its Service does not answer within {ANSWER_SECONDS:g} s, though its gateways are ready",
                where=f"endpoint {objects.endpoint}",
                fix="see the NetworkPolicies between this step and the gateways",
            )

    def _gateways(self, objects: EndpointObjects) -> Gateways:
        return Gateways(objects, self._client)

    def _check_identity(self, objects: EndpointObjects, handle: str, expected: Identity) -> None:
        server = self._server(objects, handle)

        def differences() -> str:
            said = self._client.version(server)
            return "it does not say who it is" if said is None else expected.differences(said)

        # A new Service's address may lead to nobody, or to its former owner, for a moment.
        if poll(lambda: not differences() or None, ANSWER_SECONDS) is None and (told := differences()):
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
        model = objects.model(handle)
        service = None if model is None else objects.front_service(model)
        if service is None:
            raise LakeloopError(
                "the candidate's server does not run",
                where=f"endpoint {objects.endpoint}",
                fix="deploy again",
            )
        return of_service(service)

    def _backend(self, objects: EndpointObjects, handle: str | None) -> Backend | None:
        model = None if handle is None else objects.model(handle)
        service = None if model is None else objects.front_service(model)
        if handle is None or model is None or service is None:
            return None
        return Backend(handle=handle, url=of_service(service).url, version=identity_in(model).version)
