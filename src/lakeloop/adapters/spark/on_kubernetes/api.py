"""The few calls to the Kubernetes API that a Spark step makes: its own pod, and its executors' pods."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.on_kubernetes.pods import ExecutorPod, executor_pod
from lakeloop.adapters.spark.on_kubernetes.request import DriverPod
from lakeloop.domain.errors import LakeloopError, UserError

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

TIMEOUT_SECONDS = 30
LOG_LINES, LOG_BYTES = 20, 8_192
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NAMES = ("LAKELOOP_POD_NAME", "KFP_POD_NAME", "POD_NAME", "HOSTNAME")
_NAMESPACES = ("LAKELOOP_POD_NAMESPACE", "KFP_NAMESPACE", "POD_NAMESPACE", "NAMESPACE")
_STEP_CONTAINERS = ("main", "step")
_SECRET = re.compile(r"(?i)((?:password|passwd|secret|token|access.?key)[\w.-]*\s*[=:]\s*)\S+")


class Pods:
    """Pods of one namespace.

    Args:
        namespace: where.
        api: another client than the one of this pod's service account.
    """

    def __init__(self, namespace: str, api: CoreV1Api | None = None) -> None:
        self._namespace, self._api = namespace, api or in_cluster_api()

    def executors(self, selector: str) -> list[ExecutorPod]:
        """The pods with these labels."""
        return [executor_pod(document) for document in self._listed(selector)]

    def log_tail(self, name: str) -> tuple[str, ...]:
        """The pod's last lines, without what looks like a secret; none where there is no log."""
        from kubernetes.client import ApiException

        try:
            text = self._api.read_namespaced_pod_log(
                name,
                self._namespace,
                tail_lines=LOG_LINES,
                limit_bytes=LOG_BYTES,
                _request_timeout=TIMEOUT_SECONDS,
            )
        except ApiException:
            return ()
        return tuple(_SECRET.sub(r"\1***", line) for line in str(text).splitlines() if line.strip())

    def delete(self, name: str) -> None:
        """Remove one pod; an absent one is a no-op."""
        from kubernetes.client import ApiException

        try:
            self._api.delete_namespaced_pod(
                name, self._namespace, grace_period_seconds=0, _request_timeout=TIMEOUT_SECONDS
            )
        except ApiException as error:
            if error.status != 404:  # noqa: PLR2004 - HTTP: not found
                raise

    def delete_all(self, selector: str, grace_seconds: int) -> None:
        """Remove every pod with these labels."""
        self._api.delete_collection_namespaced_pod(
            self._namespace,
            label_selector=selector,
            grace_period_seconds=grace_seconds,
            _request_timeout=TIMEOUT_SECONDS,
        )

    def refusal(self, manifest: Mapping[str, Any]) -> str:
        """What the API server says to this pod in a dry run; empty where it would take it."""
        from kubernetes.client import ApiException

        try:
            self._api.create_namespaced_pod(
                self._namespace, manifest, dry_run="All", _request_timeout=TIMEOUT_SECONDS
            )
        except ApiException as error:
            return _message(error)
        return ""

    def own(self, name: str, ip: str) -> DriverPod:
        """This process' pod, as the API knows it.

        Raises:
            LakeloopError: the API does not answer, or does not allow it.
        """
        with answered(f"pod {self._namespace}/{name}"):
            answer = self._api.read_namespaced_pod(
                name, self._namespace, _preload_content=False, _request_timeout=TIMEOUT_SECONDS
            )
        return driver_pod(json.loads(answer.data), ip)

    def _listed(self, selector: str) -> list[dict[str, Any]]:
        answer = self._api.list_namespaced_pod(
            self._namespace, label_selector=selector, _preload_content=False, _request_timeout=TIMEOUT_SECONDS
        )
        items: list[dict[str, Any]] = json.loads(answer.data)["items"]
        return items


def in_cluster_api() -> CoreV1Api:
    """A client with the rights of this pod's service account.

    Raises:
        UserError: this process does not run in a pod, or gets no token there.
    """
    from kubernetes import client, config
    from kubernetes.config import ConfigException

    try:
        config.load_incluster_config()
    except ConfigException as error:
        raise UserError(
            f"Spark's driver has to run in a pod: {error}",
            where="LAKELOOP_SPARK_MASTER",
            fix="set LAKELOOP_SPARK_MASTER=local[*] here, or run the step in the cluster",
        ) from error
    return client.CoreV1Api()


def own_pod(environment: Mapping[str, str] = os.environ) -> tuple[DriverPod, Pods]:
    """The pod of this process, and the pods beside it.

    Raises:
        UserError: there is no pod, or its name cannot be found.
        LakeloopError: the Kubernetes API does not answer.
    """
    name = next((environment[n] for n in _NAMES if environment.get(n)), "")
    namespace = next((environment[n] for n in _NAMESPACES if environment.get(n)), "")
    if not namespace and _NAMESPACE_FILE.is_file():
        namespace = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    pods = Pods(namespace or "default")
    return pods.own(name, environment.get("LAKELOOP_POD_IP") or _own_ip()), pods


def driver_pod(document: Mapping[str, Any], ip: str) -> DriverPod:
    """A pod document -> the driver: its step's container tells the image and which variables are secrets."""
    metadata, spec = document["metadata"], document["spec"]
    containers = spec["containers"]
    container = next((c for c in containers if c["name"] in _STEP_CONTAINERS), containers[0])
    references = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in container.get("env") or []
        if (entry.get("valueFrom") or {}).get("secretKeyRef")
    }
    return DriverPod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        ip=(document.get("status") or {}).get("podIP") or ip,
        image=container["image"],
        secret_env={name: (reference["name"], reference["key"]) for name, reference in references.items()},
        pull_secrets=tuple(secret["name"] for secret in spec.get("imagePullSecrets") or []),
        pull_policy=container.get("imagePullPolicy") or "IfNotPresent",
    )


@contextmanager
def answered(place: str) -> Iterator[None]:
    """Turn what the client raises into one clear error."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        fix = "give the step's service account get, list, watch, create, patch, delete and deletecollection on pods"
        raise LakeloopError(f"the Kubernetes API refuses: {_message(error)}", where=place, fix=fix) from error
    except HTTPError as error:
        fix = "see that the API server answers, then run the step again"
        raise LakeloopError(f"the Kubernetes API does not answer: {error}", where=place, fix=fix) from error


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def _own_ip() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return ""
