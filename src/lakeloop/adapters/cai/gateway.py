"""The gateway of a blue_green endpoint, as the deployer sees it: an Application of the project, or a process here."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import ValidationError

from lakeloop.adapters.cai.connection import Connection
from lakeloop.adapters.local.client import PURPOSE_HEADER
from lakeloop.adapters.local.endpoint_folder import EndpointFolder
from lakeloop.adapters.local.process import wait_until
from lakeloop.domain.canary import Traffic
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.rollout import Identity
from lakeloop.domain.routes import Routes

MODULE = "lakeloop.serving.workbench_gateway"
HOST = "127.0.0.1"
SWITCH_SECONDS, DRAIN_SECONDS, START_SECONDS = 15.0, 90.0, 120.0
URL_VARIABLE = "LAKELOOP_CAI_GATEWAY_URL"
_HANDED_ON = ("LAKELOOP_CAI_", "CDSW_", "SSL_CERT", "REQUESTS_CA")


class EndpointGateway:
    """One endpoint's gateway and its routes file."""

    def __init__(self, folder: EndpointFolder, where: Connection, port: int) -> None:
        self._folder, self._where, self._port = folder, where, port
        self._application = os.environ.get(URL_VARIABLE, "").rstrip("/")

    @property
    def url(self) -> str | None:
        """Where it listens; None where none runs here."""
        if self._application:
            return self._application
        port = self._folder.gateway.port()
        return None if port is None else f"http://{HOST}:{port}"

    def run(self) -> str:
        """Its URL, started where it is a process here and does not run.

        Raises:
            UserError: the port is taken.
            LakeloopError: it does not start, or the Application does not answer.
        """
        if self._application:
            if not wait_until(lambda: self.status() is not None, SWITCH_SECONDS):
                raise LakeloopError(
                    "the gateway does not answer",
                    where=f"{URL_VARIABLE}={self._application}",
                    fix="start its Application in the workbench: see docs/guides/cloudera-ai.md",
                )
            return self._application
        running = self.url
        if running is not None:
            return running
        wanted = self._port or self._folder.stable_port()
        if wanted:
            _check_free(wanted, self._folder.endpoint)
        options = ["--endpoint", self._folder.endpoint, "--routes", str(self._folder.routes_file)]
        options += ["--host", HOST, "--port", str(wanted)]
        handed_on = {k: v for k, v in os.environ.items() if k.startswith(_HANDED_ON)}
        handed_on |= _connection_variables(self._where)
        port = self._folder.gateway.start(MODULE, options, START_SECONDS, handed_on)
        self._folder.remember_port(port)
        return f"http://{HOST}:{port}"

    def stop(self) -> bool:
        """End it, where it is a process here."""
        return False if self._application else self._folder.gateway.stop()

    def switch(self, routes: Routes) -> None:
        """Write routes; returns once the gateway follows, or where none runs.

        Raises:
            LakeloopError: it does not follow.
        """
        self._folder.write_routes(routes)
        if self.url is None:
            return
        if not wait_until(lambda: self._generation() == routes.generation, SWITCH_SECONDS):
            raise LakeloopError(
                f"the gateway did not follow its routes in {SWITCH_SECONDS:g} s",
                where=f"endpoint {self._folder.endpoint}",
                fix="it must see the project's files: run it as an Application of the same project",
            )

    def drain(self, urls: set[str]) -> None:
        """Wait, for a while, until no request is under way at these backends."""
        wait_until(lambda: not urls & set((self.status() or {}).get("in_flight", {})), DRAIN_SECONDS)

    def traffic(self) -> dict[str, Traffic]:
        """What each routed backend answered, by handle."""
        listed = (self.status() or {}).get("backends", [])
        return {b["handle"]: Traffic(**{k: b[k] for k in Traffic.model_fields if k in b}) for b in listed}

    def status(self) -> dict[str, Any] | None:
        """`GET /gateway/status`; None where it does not answer."""
        try:
            found: dict[str, Any] = self._send("GET", "/gateway/status").json()
        except (httpx.HTTPError, ValueError):
            return None
        return found

    def version(self) -> Identity | None:
        """Who answers; None where nobody does."""
        if self.url is None:
            return None
        try:
            answer = self._send("GET", "/version")
            return Identity.model_validate_json(answer.content) if answer.is_success else None
        except (httpx.HTTPError, ValidationError):
            return None

    def predict(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live model's whole answer.

        Raises:
            LakeloopError: no answer, or a refusal.
        """
        try:
            answer = self._send("POST", "/predict", {"rows": list(rows)})
            content: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise LakeloopError(f"no answer: {type(error).__name__}", where=str(self.url)) from error
        if not answer.is_success:
            raise LakeloopError(
                f"answered {answer.status_code}: {content.get('error', content)}", where=str(self.url)
            )
        return content

    def _generation(self) -> int:
        return int((self.status() or {}).get("generation", -1))

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        # The platform asks an Application's callers for a key, too.
        headers = {"authorization": f"Bearer {self._where.model_key}"} if self._application else {}
        headers[PURPOSE_HEADER] = "proof"
        loopback = not self._application or "://127.0.0.1" in self._application
        with httpx.Client(trust_env=not loopback, timeout=60.0, verify=not loopback) as client:
            return client.request(method, f"{self.url}{path}", json=body, headers=headers)


def _connection_variables(where: Connection) -> dict[str, str]:
    return {
        "LAKELOOP_CAI_URL": where.url,
        "LAKELOOP_CAI_PROJECT_ID": where.project_id,
        "LAKELOOP_CAI_API_KEY": where.api_key,
        "LAKELOOP_CAI_MODEL_SERVICE_URL": where.model_service_url,
        "LAKELOOP_CAI_MODEL_API_KEY": where.model_key,
    }


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
