"""The Kubernetes API by the official client: a few verbs over plain JSON objects, each safe to repeat."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from lakeloop.adapters.kserve.canary import Split, inference_service_schema, split_of
from lakeloop.adapters.kserve.names import FIELD_MANAGER
from lakeloop.domain.errors import ConflictError, LakeloopError, UserError

Object = dict[str, Any]
T = TypeVar("T")

POLL_SECONDS = 0.5
ANSWER_SECONDS = 30.0
UNREACHABLE_SECONDS = 60.0
"""For so long a call is repeated while the API server does not answer, or says that it is overloaded."""
_TOO_EARLY = {429, 500, 502, 503, 504}
_NOT_FOUND, _CONFLICT = 404, 409
_PATHS = {
    "InferenceService": ("/apis/serving.kserve.io/v1beta1", "inferenceservices"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "Service": ("/api/v1", "services"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Pod": ("/api/v1", "pods"),
}


class Cluster:
    """One namespace of the cluster that the environment names: the pod's own, else the kube context's."""

    def __init__(self, namespace: str, unreachable_seconds: float = UNREACHABLE_SECONDS) -> None:
        self.namespace, self._unreachable_seconds = namespace, unreachable_seconds
        self.inside = "KUBERNETES_SERVICE_HOST" in os.environ
        self._client: Any = None

    def get(self, kind: str, name: str) -> Object | None:
        """The object; None where there is none."""
        status, answer = self.call("GET", self._path(kind, name), accept=(_NOT_FOUND,))
        return None if status == _NOT_FOUND else json.loads(answer)

    def list(self, kind: str, labels: dict[str, str]) -> list[Object]:
        """Objects with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        _, answer = self.call("GET", self._path(kind), query={"labelSelector": selector})
        items: list[Object] = json.loads(answer)["items"]
        return items

    def apply(self, manifest: Object) -> Object:
        """Server-side apply: made, changed or left as it is, whatever was there."""
        _, answer = self.call(
            "PATCH",
            self._path(manifest["kind"], manifest["metadata"]["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )
        applied: Object = json.loads(answer)
        return applied

    def write_once(self, manifest: Object) -> None:
        """Create the object, or replace exactly the resourceVersion that it names.

        Raises:
            ConflictError: somebody else was first.
        """
        new = "resourceVersion" not in manifest["metadata"]
        name = manifest["metadata"]["name"]
        path = self._path(manifest["kind"], None if new else name)
        status, _ = self.call("POST" if new else "PUT", path, body=manifest, accept=(_CONFLICT, _NOT_FOUND))
        if status not in {_CONFLICT, _NOT_FOUND}:
            return
        # An answer that was lost on its way makes the repetition meet its own effect.
        found = self.get(manifest["kind"], name)
        if found is None or found.get("data") != manifest.get("data"):
            raise ConflictError(
                "somebody else changed it meanwhile", where=f"{manifest['kind']} {name}", fix="run again"
            )

    def delete(self, kind: str, name: str) -> bool:
        """Delete it with all that it owns; False where it is gone already."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        status, _ = self.call("DELETE", self._path(kind, name), body=body, accept=(_NOT_FOUND,))
        return status != _NOT_FOUND

    def log(self, pod: str, container: str, *, previous: bool, lines: int = 20) -> str:
        """The end of a container's log; empty where there is none yet."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        status, answer = self.call(
            "GET", f"{self._path('Pod', pod)}/log", query=query, accept=(400, _NOT_FOUND)
        )
        return answer.decode(errors="replace") if status < 400 else ""  # noqa: PLR2004 - HTTP

    def traffic_split(self) -> Split:
        """How this cluster's KServe splits traffic, by the schema that it serves."""
        _, openapi = self.call("GET", "/openapi/v3/apis/serving.kserve.io/v1beta1", accept=(_NOT_FOUND,))
        _, groups = self.call("GET", "/apis")
        named = {group["name"] for group in json.loads(groups)["groups"]}
        return split_of(inference_service_schema(_object(openapi)), named)

    def call(  # noqa: PLR0913 - an HTTP request
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: tuple[int, ...] = (),
    ) -> tuple[int, bytes]:
        """One request; its status and content. Repeated while the API server is away, for a limited time.

        Raises:
            LakeloopError: it refuses, names why; or it stayed away.
        """
        deadline = time.monotonic() + self._unreachable_seconds
        while True:
            status, content = self.once(method, path, query, body, content_type)
            if status in accept or 200 <= status < 300:  # noqa: PLR2004 - HTTP
                return status, content
            if status not in _TOO_EARLY | {0} or time.monotonic() > deadline:
                raise _refused(method, path, status, content)
            time.sleep(POLL_SECONDS)

    def once(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> tuple[int, bytes]:
        """One request, once; status 0 and the reason where nobody answered."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = self._api().call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Content-Type": content_type, "Accept": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=ANSWER_SECONDS,
            )
            return int(answer.status), bytes(answer.data)
        except ApiException as error:
            told = error.body or error.reason or ""
            return int(error.status or 0), told if isinstance(told, bytes) else str(told).encode()
        except (HTTPError, OSError) as error:
            return 0, f"{type(error).__name__}: {error}".encode()

    def _api(self) -> Any:
        if self._client is None:
            self._client = _connect(inside=self.inside)
        return self._client

    def _path(self, kind: str, name: str | None = None) -> str:
        prefix, plural = _PATHS[kind]
        return f"{prefix}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")


def poll(look: Callable[[], T | None], seconds: float, every: float = POLL_SECONDS) -> T | None:
    """Ask until there is an answer; None where there was none within the time."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(every)
    return found


def _connect(*, inside: bool) -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if inside:
            config.load_incluster_config(configuration)
        else:
            # Named here: the client reads the variable once, when it is imported.
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
    except config.ConfigException as error:
        raise UserError(
            f"no cluster can be reached: {error}",
            where="deployment target kserve",
            fix="set KUBECONFIG, or use the target local",
        ) from error
    configuration.retries = False
    return client.ApiClient(configuration)


def _refused(method: str, path: str, status: int, content: bytes) -> LakeloopError:
    told = _message(content)
    where = f"Kubernetes API: {method} {path}"
    if not status:
        return LakeloopError(
            f"it does not answer: {told}", where=where, fix="check the cluster, then run again"
        )
    fixes = {
        401: "log in again: the token has expired",
        403: "give this account the verb on the resource: docs/guides/cluster.md lists what a deployer needs",
        _NOT_FOUND: "install KServe, or make the namespace",
    }
    return LakeloopError(f"answered {status}: {told}", where=where, fix=fixes.get(status, "see the message"))


def _message(content: bytes) -> str:
    return str(_object(content).get("message") or content.decode(errors="replace").strip()[:500])


def _object(content: bytes) -> Object:
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
