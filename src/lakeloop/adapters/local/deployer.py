"""Endpoints on this machine: a server process a model, and a gateway on the endpoint's stable port."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from lakeloop.adapters.local import client
from lakeloop.adapters.local.endpoint_folder import EndpointFolder
from lakeloop.adapters.local.process import wait_until
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.routes import Backend, Routes, finished, rolled_back, shifted
from lakeloop.settings import Settings, online_store_environment, places_environment

HOST = "127.0.0.1"
SWITCH_SECONDS = 15.0
DRAIN_SECONDS = 30.0


class LocalDeployer:
    """Deployer (lakeloop.ports.deployer) of processes on the loopback interface."""

    target = "local"

    def __init__(
        self,
        settings: Settings,
        port: int = 0,
        timeout_seconds: float = 60.0,
        *,
        online_features: bool = False,
    ) -> None:
        """Below `settings.endpoints_folder`.

        Args:
            settings: where endpoints lie.
            port: the endpoint's stable port; 0 keeps the one it has, or picks a free one.
            timeout_seconds: limit for the start of a server.
            online_features: servers answer ids, too, from the online store.
        """
        self._online_features = online_features
        self._settings, self._port, self._timeout_seconds = settings, port, timeout_seconds

    def live(self, endpoint: str) -> Identity | None:
        """What answers now, asked through the gateway; None where nothing does."""
        port = self._folder(endpoint).gateway.port()
        if port is None:
            return None
        return client.version(_url(port))

    def url(self, endpoint: str) -> str | None:
        """Where the gateway listens; None where none runs."""
        port = self._folder(endpoint).gateway.port()
        return None if port is None else _url(port)

    def start(self, endpoint: str, candidate: Candidate) -> str:
        """Start the candidate's server, or find it running; its handle, once it says who it is.

        Raises:
            LakeloopError: the model's bytes are not the registered ones, the server ended or did not answer
                in time, or it is not what the candidate says: another model, another XGBoost.
        """
        folder = self._folder(endpoint)
        with folder.changing():
            handle = folder.keep_model(candidate)
            port = self._run_server(folder, handle)
            try:
                client.check_identity(_url(port), candidate.identity)
            except LakeloopError:
                if folder.routes().backend(handle) is None:
                    folder.server(handle).stop()
                raise
            return handle

    def serves(self, endpoint: str, handle: str) -> bool:
        """Whether the traffic goes to this handle already."""
        return self._folder(endpoint).routes().live == handle

    def predict(self, endpoint: str, handle: str, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Scores of the server behind the handle, asked on its own port.

        Raises:
            LakeloopError: it does not run, or refuses the rows.
        """
        port = self._folder(endpoint).server(handle).port()
        if port is None:
            raise LakeloopError("the candidate's server does not run", where=f"endpoint {endpoint}")
        return [float(score) for score in client.predict(_url(port), rows)["scores"]]

    def shift(self, endpoint: str, handle: str) -> str:
        """Route all traffic to the handle's server; returns once the gateway follows.

        Raises:
            UserError: the stable port is taken by somebody else.
            LakeloopError: the server does not run, or the gateway does not follow.
        """
        folder = self._folder(endpoint)
        with folder.changing():
            new = self._backend(folder, handle)
            if new is None:
                raise LakeloopError("the candidate's server does not run", where=f"endpoint {endpoint}")
            routes = folder.routes()
            port = self._run_gateway(folder)
            standby = routes.previous if routes.live == handle else routes.live
            self._switch(folder, shifted(routes, new, self._backend(folder, standby)))
            return _url(port)

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live endpoint's whole answer.

        Raises:
            LakeloopError: nothing answers, or the rows are refused.
        """
        url = self.url(endpoint)
        if url is None:
            raise LakeloopError("nothing runs", where=f"endpoint {endpoint}", fix="deploy a version")
        return client.predict(url, rows)

    def roll_back(self, endpoint: str, handle: str) -> None:
        """Back to what served before the handle did; a handle that does not serve is just stopped."""
        folder = self._folder(endpoint)
        with folder.changing():
            routes = folder.routes()
            if routes.live == handle:
                previous = routes.previous
                if previous is not None:
                    self._run_server(folder, previous)
                    self._run_gateway(folder)
                self._switch(folder, rolled_back(routes, self._backend(folder, previous)))
                self._drain(folder, {b.url for b in routes.backends if b.handle == handle})
                folder.server(handle).stop()
            elif routes.backend(handle) is None:
                folder.server(handle).stop()

    def finish(self, endpoint: str, handle: str) -> None:
        """Stop every server but the live one, after its requests; keep the previous model's files.

        Raises:
            LakeloopError: the handle is not what is live.
        """
        folder = self._folder(endpoint)
        with folder.changing():
            routes = folder.routes()
            if routes.live != handle:
                raise LakeloopError(
                    "another version is live", where=f"endpoint {endpoint}", fix="deploy again"
                )
            self._switch(folder, finished(routes))
            self._drain(folder, {b.url for b in routes.backends if b.handle != handle})
            for server in folder.servers():
                if server.name != handle:
                    server.stop()
            folder.forget_all_but({handle, routes.previous or handle})

    def stop(self, endpoint: str) -> bool:
        """End gateway and servers; models, routes and port stay, so that a later start finds them."""
        folder = self._folder(endpoint)
        if not folder.root.exists():
            return False
        with folder.changing():
            ended = [process.stop() for process in (folder.gateway, *folder.servers(), folder.shipper)]
            return any(ended)

    def _folder(self, endpoint: str) -> EndpointFolder:
        return EndpointFolder(self._settings.endpoints_folder, endpoint)

    def _run_server(self, folder: EndpointFolder, handle: str) -> int:
        self._run_shipper(folder)
        options = ["--model-folder", str(folder.model_folder(handle)), "--host", HOST]
        options += ["--prediction-log", str(folder.prediction_log)]
        variables: dict[str, str] = {}
        if self._online_features:
            options.append("--online-features")
            variables = online_store_environment(self._settings)
        server = folder.server(handle)
        return server.start("lakeloop.serving.predictor", options, self._timeout_seconds, variables)

    def _run_shipper(self, folder: EndpointFolder) -> None:
        options = ["--folder", str(folder.prediction_log)]
        environment = places_environment(self._settings)
        folder.shipper.start("lakeloop.serving.prediction_log", options, self._timeout_seconds, environment)

    def _run_gateway(self, folder: EndpointFolder) -> int:
        running, wanted = folder.gateway.port(), self._port or folder.stable_port()
        if running is not None and wanted in {0, running} and not folder.gateway.deaf():
            return running
        folder.gateway.stop()
        if wanted:
            _check_free(wanted, folder.endpoint)
        options = ["--endpoint", folder.endpoint, "--routes", str(folder.routes_file), "--host", HOST]
        port = folder.gateway.start(
            "lakeloop.serving.gateway", [*options, "--port", str(wanted)], self._timeout_seconds
        )
        folder.remember_port(port)
        return port

    def _backend(self, folder: EndpointFolder, handle: str | None) -> Backend | None:
        port = None if handle is None else folder.server(handle).port()
        if handle is None or port is None:
            return None
        return Backend(handle=handle, url=_url(port), version=folder.identity(handle).version)

    def _switch(self, folder: EndpointFolder, routes: Routes) -> None:
        folder.write_routes(routes)
        if not wait_until(lambda: self._generation(folder) in {None, routes.generation}, SWITCH_SECONDS):
            raise LakeloopError(
                f"the gateway did not follow its routes in {SWITCH_SECONDS:g} s{folder.gateway.log_tail()}",
                where=f"endpoint {folder.endpoint}",
                fix="lakeloop stop, then deploy again",
            )

    def _drain(self, folder: EndpointFolder, urls: set[str]) -> None:
        wait_until(lambda: not urls & set(self._status(folder).get("in_flight", {})), DRAIN_SECONDS)

    def _generation(self, folder: EndpointFolder) -> int | None:
        status = self._status(folder)
        return int(status["generation"]) if status else None

    def _status(self, folder: EndpointFolder) -> dict[str, Any]:
        port = folder.gateway.port()
        return {} if port is None else client.gateway_status(_url(port))


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _check_free(port: int, endpoint: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used: {error.strerror}",
                where=f"endpoint {endpoint}",
                fix="end the program that has it, or set deployment.port to another",
            ) from error
