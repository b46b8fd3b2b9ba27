"""Strategy `blue_green`: two models of the workbench, and a gateway that shifts traffic between them.

A model of the workbench cannot be redeployed without a gap. So each version goes to the model that does not serve,
and the gateway moves the traffic; the routes file on the project's storage is what says who serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.calls import CallError
from lakeloop.adapters.cai.candidates import Candidates
from lakeloop.adapters.cai.deploying import Deploying, check_secrets
from lakeloop.adapters.cai.gateway import EndpointGateway
from lakeloop.adapters.cai.model_service import ModelService, answer_of
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.adapters.local.endpoint_folder import EndpointFolder
from lakeloop.domain.canary import Traffic, canary_problems, shared, taken_back
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.routes import Backend, finished, rolled_back, shifted
from lakeloop.domain.workbench import WorkbenchDeployment
from lakeloop.domain.workbench_models import Deployed, serving, to_remove
from lakeloop.ports.serving_models import ServingModels
from lakeloop.settings import Settings

COLOURS = ("blue", "green")
Place = tuple[WorkbenchModel, dict[str, Any], Deployed]


class BlueGreenDeployer:
    """Deployer (lakeloop.ports.deployer) of two workbench models and a gateway an endpoint."""

    target = "cai"

    def __init__(
        self, api: Api, spec: WorkbenchDeployment, models: ServingModels, settings: Settings, port: int = 0
    ) -> None:
        """Of one workbench; routes lie below `settings.endpoints_folder`."""
        self._api, self._spec, self._settings, self._port = api, spec, settings, port
        self._service = ModelService(api.where, api.patience)
        self._candidates = Candidates(api, spec, models)
        self._deploying = Deploying(api, spec, self._service)
        self._probes: dict[str, list[dict[str, Any]]] = {}

    def live(self, endpoint: str) -> Identity | None:
        """What answers now, asked through the gateway; None where nothing does."""
        return self._gateway(endpoint).version()

    def start(self, endpoint: str, candidate: Candidate) -> str:
        """Build and deploy the candidate in the model that does not serve; its handle, once it answers.

        Raises:
            CallError: the workbench refuses; names call and cause.
            LakeloopError: the model's bytes are not the registered ones, or it does not come to answer.
        """
        check_secrets(self._spec)
        handle = self._candidates.keep(candidate)
        with self._folder(endpoint).changing():
            if self._place(endpoint, handle) is not None:
                return handle
            model = self._idle(endpoint, handle)
            model_id, build = self._candidates.build(model, endpoint, candidate, handle)
            try:
                self._deploying.deploy(model, model_id, build)
                self._deploying.wait_answers(self._key(model), handle, f"model {model.name}")
            except LakeloopError:
                self._stop_handle(endpoint, handle)
                raise
        return handle

    def serves(self, endpoint: str, handle: str) -> bool:
        """Whether the traffic goes to this handle already."""
        return self._folder(endpoint).routes().live == handle

    def predict(self, endpoint: str, handle: str, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Scores of the model behind the handle, asked past the gateway.

        Raises:
            LakeloopError: it does not run, or does not answer.
        """
        place = self._place(endpoint, handle)
        if place is None:
            raise LakeloopError("the candidate does not run", where=f"endpoint {endpoint}")
        self._probes[handle] = list(rows)
        scores: list[float] = answer_of(self._service.records(place[1]["access_key"], rows))["scores"]
        return scores

    def shift(self, endpoint: str, handle: str) -> str:
        """Move the traffic to the handle's model step by step; the gateway's URL.

        Raises:
            LakeloopError: it does not run, or a step shows errors, slow answers or other scores.
        """
        folder, gateway = self._folder(endpoint), self._gateway(endpoint)
        with folder.changing():
            place, routes = self._place(endpoint, handle), folder.routes()
            if place is None:
                raise LakeloopError("the candidate does not run", where=f"endpoint {endpoint}")
            new = self._backend(place)
            url = gateway.run()
            before = routes.previous if routes.live == handle else routes.live
            old = routes.backend(before)
            if old is not None and self._place(endpoint, old.handle) is not None and routes.live != handle:
                self._canary(endpoint, new, old, str(place[1]["access_key"]))
                routes = folder.routes()
            gateway.switch(shifted(routes, new, old))
            return url

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live endpoint's whole answer.

        Raises:
            LakeloopError: nothing answers, or the rows are refused.
        """
        gateway = self._gateway(endpoint)
        if gateway.url is None:
            raise LakeloopError("nothing runs", where=f"endpoint {endpoint}", fix="deploy a version")
        return gateway.predict(rows)

    def roll_back(self, endpoint: str, handle: str) -> None:
        """Traffic back to what served before the handle did, which is deployed again where it was stopped.

        Raises:
            LakeloopError: what served before cannot be deployed.
        """
        folder, gateway = self._folder(endpoint), self._gateway(endpoint)
        with folder.changing():
            routes = folder.routes()
            urls = {b.url for b in routes.backends if b.handle == handle}
            if routes.live == handle:
                previous = None if routes.previous is None else self._revived(endpoint, routes.previous)
                if previous is not None:
                    gateway.run()
                gateway.switch(rolled_back(routes, previous))
            elif routes.backend(handle) is not None:
                gateway.switch(taken_back(routes))
            gateway.drain(urls)
            self._stop_handle(endpoint, handle)
        self._candidates.forget(handle)

    def finish(self, endpoint: str, handle: str) -> None:
        """Stop the other model once its requests are answered; remove builds beyond `keep`.

        Raises:
            LakeloopError: the handle is not what is live.
        """
        folder, gateway = self._folder(endpoint), self._gateway(endpoint)
        with folder.changing():
            routes = folder.routes()
            if routes.live != handle:
                raise LakeloopError(
                    "another version is live", where=f"endpoint {endpoint}", fix="deploy again"
                )
            gateway.switch(finished(routes))
            gateway.drain({b.url for b in routes.backends if b.handle != handle})
            for model in self._models(endpoint):
                self._tidy(model, handle)

    def stop(self, endpoint: str) -> bool:
        """End the gateway that runs here, and both models; builds and routes stay."""
        folder = self._folder(endpoint)
        with folder.changing():
            ended = [self._gateway(endpoint).stop()]
            for model in self._models(endpoint):
                ended += [self._stopped(model, deployed) for deployed in self._deployed(model)[1]]
        return any(ended)

    def _canary(self, endpoint: str, new: Backend, old: Backend, access_key: str) -> None:
        folder, gateway, limits = self._folder(endpoint), self._gateway(endpoint), self._spec.canary
        for percent in limits.weights:
            self._api.tell(f"{percent:g} % of the traffic to version {new.version}")
            gateway.switch(shared(folder.routes(), new, old, percent))
            before = gateway.traffic()
            for _ in self._api.patience.looks(limits.step_seconds):
                self._probe(new, access_key)
                now, none = gateway.traffic(), Traffic()
                counted = [now.get(b.handle, none).since(before.get(b.handle, none)) for b in (old, new)]
                problems = canary_problems(counted[0], counted[1], limits)
                if problems:
                    raise LakeloopError(
                        f"version {new.version} at {percent:g} % of the traffic: {'; '.join(problems)}",
                        where=f"endpoint {endpoint}",
                        fix="see the replica's log; the limits are deployment.cai.canary",
                    )

    def _probe(self, new: Backend, access_key: str) -> None:
        """One real row, so that a model without traffic is watched, too."""
        rows = self._probes.get(new.handle, [])[:1]
        if rows:
            self._service.records(access_key, rows)

    def _folder(self, endpoint: str) -> EndpointFolder:
        return EndpointFolder(self._settings.endpoints_folder, endpoint)

    def _gateway(self, endpoint: str) -> EndpointGateway:
        return EndpointGateway(self._folder(endpoint), self._api.where, self._port)

    def _models(self, endpoint: str) -> list[WorkbenchModel]:
        return [WorkbenchModel(self._api, f"{endpoint}-{colour}") for colour in COLOURS]

    def _deployed(self, model: WorkbenchModel) -> tuple[dict[str, Any] | None, list[Deployed]]:
        item = model.find()
        return item, model.deployments(str(item["id"])) if item else []

    def _place(self, endpoint: str, handle: str) -> Place | None:
        """The model in which the handle is deployed."""
        for model in self._models(endpoint):
            item, deployments = self._deployed(model)
            live = serving(deployments)
            if item is not None and live is not None and live.handle == handle:
                return model, item, live
        return None

    def _idle(self, endpoint: str, handle: str) -> WorkbenchModel:
        """The model for a candidate: where an earlier attempt began, else the one that does not serve."""
        models = self._models(endpoint)
        routes = self._folder(endpoint).routes()
        live = routes.backend(routes.live)
        taken = live.url.rpartition("#")[2] if live else ""
        free = [model for model in models if model.name != taken]
        for model in free:
            item = model.find()
            if item is not None and model.build_of(str(item["id"]), handle) is not None:
                return model
        return free[0]

    def _key(self, model: WorkbenchModel) -> str:
        item = model.find()
        if item is None:
            raise LakeloopError("the model is gone", where=model.name, fix="run again")
        return str(item["access_key"])

    def _backend(self, place: Place) -> Backend:
        model, item, deployed = place
        said = self._service.who(item["access_key"])
        url = f"{self._service.url}#{model.name}"
        return Backend(handle=deployed.handle, url=url, version=said.identity.version)

    def _revived(self, endpoint: str, handle: str) -> Backend:
        place = self._place(endpoint, handle)
        for model in self._models(endpoint) if place is None else ():
            item = model.find()
            build = model.build_of(str(item["id"]), handle) if item else None
            if item is not None and build is not None:
                self._api.tell(f"deploying build {build.build_id} again, which served before")
                self._deploying.deploy(model, str(item["id"]), build)
                self._deploying.wait_answers(item["access_key"], handle, f"model {model.name}")
                place = self._place(endpoint, handle)
        if place is None:
            raise LakeloopError(
                f"the build of {handle} is gone, which served before",
                where=f"endpoint {endpoint}",
                fix="lakeloop rollback USE_CASE deploys an earlier version from the registry",
            )
        return self._backend(place)

    def _stop_handle(self, endpoint: str, handle: str) -> None:
        for model in self._models(endpoint):
            for deployed in self._deployed(model)[1]:
                if deployed.handle == handle:
                    self._stopped(model, deployed)

    def _stopped(self, model: WorkbenchModel, deployed: Deployed) -> bool:
        item = model.find()
        if item is None or not deployed.active:
            return False
        model.stop(str(item["id"]), deployed)
        return True

    def _tidy(self, model: WorkbenchModel, handle: str) -> None:
        item, deployments = self._deployed(model)
        if item is None:
            return
        for deployed in deployments:
            if deployed.handle != handle:
                self._stopped(model, deployed)
        model_id = str(item["id"])
        for build_id in to_remove(model.builds(model_id), self._deployed(model)[1], self._spec.keep):
            try:
                model.remove_build(model_id, build_id)
            except CallError as error:
                self._api.tell(f"warning: build {build_id} stays until the next rollout: {error}")
