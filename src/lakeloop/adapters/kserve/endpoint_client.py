"""What the deployer asks of predictors and gateways: by DNS inside the cluster, else through the API server's proxy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lakeloop.adapters.kserve.cluster import Cluster
from lakeloop.adapters.kserve.names import PORT, SERVICE_PORT
from lakeloop.adapters.kserve.revision import called_port, http_port
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Identity

Object = dict[str, Any]
ANSWER_SECONDS = 30.0
_SUCCESS = range(200, 300)


@dataclass(frozen=True)
class Server:
    """A Service, or one pod, by both ways that lead to it."""

    url: str
    proxy_path: str


def of_service(service: Object) -> Server:
    """The Service's pods, by its address.

    Not by its name: DNS answers with the address of a Service that was deleted and made again, as a rollback does, for
    up to half a minute. A headless Service has but the name.
    """
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    address, port = service["spec"].get("clusterIP", "None"), called_port(service)
    host = f"{name}.{namespace}.svc" if address == "None" else _host(address)
    return Server(
        url=f"http://{host}" + ("" if port == SERVICE_PORT else f":{port}"),
        proxy_path=f"/api/v1/namespaces/{namespace}/services/http:{name}:{http_port(service)['port']}/proxy",
    )


def of_pod(pod: Object) -> Server:
    """One pod, by its address."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return Server(
        url=f"http://{_host(pod.get('status', {}).get('podIP', ''))}:{PORT}",
        proxy_path=f"/api/v1/namespaces/{namespace}/pods/http:{name}:{PORT}/proxy",
    )


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class EndpointClient:
    """HTTP to servers of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def version(self, server: Server) -> Identity | None:
        """Who answers; None where nobody does.

        Raises:
            LakeloopError: the Kubernetes API, through which it is asked from outside, does not answer or refuses.
        """
        status, content = self._request(server, "GET", "/version")
        try:
            return Identity.model_validate_json(content) if status in _SUCCESS else None
        except ValidationError:
            return None

    def gateway_status(self, server: Server) -> Object:
        """`GET /gateway/status`; empty where it does not answer."""
        status, content = self._request(server, "GET", "/gateway/status")
        try:
            told = json.loads(content) if status in _SUCCESS else {}
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def apart(self, gateway: Server, handle: str, expected: Identity) -> str:
        """Why this gateway does not reach the version behind a backend; empty where it does."""
        status, content = self._request(gateway, "GET", f"/gateway/backends/{handle}")
        try:
            said = Identity.model_validate_json(content) if status in _SUCCESS else None
        except ValidationError:
            said = None
        if said is None:
            return f"{status} {content.decode(errors='replace').strip()[:300]}"
        return expected.differences(said)

    def predict(self, server: Server, rows: Sequence[Object]) -> Object:
        """The whole answer to rows.

        Raises:
            LakeloopError: no answer, or a refusal, in the server's words.
        """
        status, content = self._request(server, "POST", "/predict", {"rows": list(rows)})
        try:
            answer: Object = json.loads(content)
        except ValueError:
            answer = {"error": content.decode(errors="replace")[:500] or "nobody answers"}
        if status not in _SUCCESS:
            told = answer.get("error") or answer.get("message") or answer
            raise LakeloopError(
                f"answered {status}: {told}" if status else f"no answer: {told}", where=server.url
            )
        return answer

    def _request(self, server: Server, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        if self._cluster.inside:
            return _direct(server.url + path, method, body)
        status, content = self._cluster.once(method, server.proxy_path + path, body=body)
        if status == 0:
            raise LakeloopError(
                f"the Kubernetes API does not answer: {content.decode(errors='replace')}", where=server.url
            )
        if status in {401, 403} and b'"Status"' in content:
            raise LakeloopError(
                f"the Kubernetes API refuses its proxy: {content.decode(errors='replace')[:300]}",
                where=server.url,
                fix="give this account get and create on services/proxy and pods/proxy",
            )
        return status, content


def _direct(url: str, method: str, body: Any) -> tuple[int, bytes]:
    import httpx

    try:
        # One connection a call: a pod that was replaced meanwhile is never asked through a dead one.
        answer = httpx.request(
            method, url, json=body, timeout=ANSWER_SECONDS, trust_env=False, headers={"connection": "close"}
        )
    except httpx.TransportError as error:
        return 0, f"{type(error).__name__}: {error}".encode()
    return answer.status_code, answer.content
