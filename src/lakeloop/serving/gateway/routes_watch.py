"""Routes in a ConfigMap, followed by a watch: a change is in force within milliseconds.

A mounted ConfigMap would follow a minute later, when the kubelet looks. Protocol: list, then watch from the list's
resourceVersion (Kubernetes API concepts, "Efficient detection of changes"), by httpx, which the gateway has
anyway; the service account needs list and watch of ConfigMaps.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from lakeloop.domain.routes import ROUTES_KEY, Routes

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WATCH_SECONDS = 60
"""A watch is asked for no longer, so that a connection that died unnoticed is replaced soon."""
RETRY_SECONDS = 1.0
_ANSWER_SECONDS = 10.0


class RoutesWatch:
    """`RoutesSource` of one ConfigMap; while the API does not answer, the last routes stay in force."""

    def __init__(self, api_url: str, namespace: str, name: str, account: Path = SERVICE_ACCOUNT) -> None:
        """Nothing is asked before `start`.

        Args:
            api_url: of the Kubernetes API server.
            namespace: of the ConfigMap.
            name: of the ConfigMap.
            account: folder with `token` and `ca.crt`; the token is read anew for each call, it is renewed there.
        """
        self._url = f"{api_url}/api/v1/namespaces/{namespace}/configmaps"
        self._selector, self._account = f"metadata.name={name}", account
        self._routes = Routes()
        self._ended = threading.Event()
        self._read = threading.Event()
        self.problem = f"ConfigMap {namespace}/{name} has not been read yet"

    @property
    def ready(self) -> bool:
        """Whether routes were read at least once."""
        return self._read.is_set()

    def current(self) -> Routes:
        """Routes as last seen."""
        return self._routes

    def start(self) -> None:
        """Follow, in a thread of its own, until the process or `close` ends it."""
        threading.Thread(target=self._follow, name="routes", daemon=True).start()

    def wait_ready(self, seconds: float) -> bool:
        """Wait for the first routes; False where they did not come in time."""
        return self._read.wait(seconds)

    def close(self) -> None:
        """Follow no more."""
        self._ended.set()

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with self._client() as client:
                    self._watch(client, self._list(client))
            except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
                self.problem = f"the Kubernetes API does not tell the routes: {type(error).__name__}: {error}"
                self._ended.wait(RETRY_SECONDS)

    def _list(self, client: httpx.Client) -> str:
        answer = client.get(self._url, params={"fieldSelector": self._selector}, headers=self._headers())
        listed = answer.raise_for_status().json()
        for config_map in listed["items"]:
            self._take(config_map)
        if not listed["items"]:
            self.problem = f"there is no ConfigMap with {self._selector}"
        return str(listed["metadata"]["resourceVersion"])

    def _watch(self, client: httpx.Client, version: str) -> None:
        parameters = {
            "fieldSelector": self._selector,
            "watch": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = httpx.Timeout(_ANSWER_SECONDS, read=WATCH_SECONDS + _ANSWER_SECONDS)
        with client.stream(
            "GET", self._url, params=parameters, headers=self._headers(), timeout=timeout
        ) as events:
            events.raise_for_status()
            for line in events.iter_lines():
                event = json.loads(line)
                if event["type"] not in {"ADDED", "MODIFIED"}:
                    return  # deleted, or too old to go on from: list again
                self._take(event["object"])

    def _take(self, config_map: dict[str, Any]) -> None:
        try:
            self._routes = Routes.model_validate_json(config_map.get("data", {}).get(ROUTES_KEY, ""))
        except ValidationError as error:
            self.problem = str(error)
            return
        self.problem = ""
        self._read.set()

    def _headers(self) -> dict[str, str]:
        token = (self._account / "token").read_text(encoding="utf-8").strip()
        return {"authorization": f"Bearer {token}", "accept": "application/json"}

    def _client(self) -> httpx.Client:
        authority = self._account / "ca.crt"
        verify: ssl.SSLContext | bool = (
            ssl.create_default_context(cafile=authority) if authority.exists() else True
        )
        return httpx.Client(trust_env=False, timeout=_ANSWER_SECONDS, verify=verify)


def in_cluster_api() -> str:
    """Address of the API server, as every pod is told.

    Raises:
        KeyError: this is no pod.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
