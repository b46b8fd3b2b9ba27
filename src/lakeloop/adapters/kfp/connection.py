"""The way to the Kubeflow Pipelines API: a URL, the Service in a pod, or the Kubernetes API server's proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakeloop.domain.errors import LakeloopError, ServiceAwayError, UserError
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from kfp_server_api import ApiClient, Configuration

TIMEOUT_SECONDS = (10.0, 30.0)
"""For connecting, and for an answer."""

_IN_A_POD = "KUBERNETES_SERVICE_HOST"
_POD_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - the path that Kubeflow documents
_NO_SUCH, _CONFLICT, _BAD = 404, 409, frozenset({400, 422})
_REFUSED = frozenset({401, 403})
_SERVER = 500
_INTERNAL_PROBLEMS = ("InvalidInputError", "invalid argument", "Invalid input error")


def pods_namespace(settings: Settings) -> str:
    """Where the runs' pods are."""
    return settings.kfp_profile or settings.kfp_namespace


def api_client(settings: Settings) -> ApiClient:
    """A client of the API.

    Raises:
        LakeloopError: kfp is not installed, or there is no URL and no kube context.
    """
    try:
        from kfp_server_api import ApiClient
    except ModuleNotFoundError as error:
        raise LakeloopError(
            "the Kubeflow Pipelines client is not installed", fix="install lakeloop[compile]"
        ) from error
    return ApiClient(_configuration(settings))


def _configuration(settings: Settings) -> Configuration:
    from kfp_server_api import Configuration

    made = Configuration()
    made.retries = False  # the caller's own limits count
    if settings.kfp_ca_file:
        made.ssl_ca_cert = str(settings.kfp_ca_file)
    host = settings.kfp_host or (_service_url(settings) if os.environ.get(_IN_A_POD) else "")
    if not host:
        _through_kubernetes(made, settings)
        return made
    made.host = host.rstrip("/") if "://" in host else f"http://{host.rstrip('/')}"
    token_file = str(settings.kfp_token_file or (_POD_TOKEN if os.path.exists(_POD_TOKEN) else ""))  # noqa: PTH110
    if token_file:
        made.api_key_prefix["authorization"] = "Bearer"
        made.refresh_api_key_hook = lambda conf: _read_token(conf, token_file)
        made.refresh_api_key_hook(made)
    return made


def _service_url(settings: Settings) -> str:
    return f"http://ml-pipeline.{settings.kfp_namespace}.svc.cluster.local:8888"


def _read_token(configuration: Configuration, path: str) -> None:
    """Tokens of a pod are renewed in their file."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            configuration.api_key["authorization"] = file.read().strip()
    except OSError as error:
        raise LakeloopError(f"the token cannot be read: {error}", where="LAKELOOP_KFP_TOKEN_FILE") from error


def _through_kubernetes(configuration: Configuration, settings: Settings) -> None:
    from kubernetes import client, config

    # Of its own: where a token is refreshed, the Kubernetes client writes the host anew, too.
    kubernetes = client.Configuration()
    try:
        config.load_kube_config(client_configuration=kubernetes)
    except (config.ConfigException, OSError, TypeError) as error:
        raise UserError(
            f"no way to Kubeflow Pipelines: no LAKELOOP_KFP_HOST, and no kube context ({error})",
            fix="set LAKELOOP_KFP_HOST to the API's URL, or KUBECONFIG to the cluster's file",
        ) from error
    for name in ("ssl_ca_cert", "cert_file", "key_file", "verify_ssl"):
        setattr(configuration, name, getattr(kubernetes, name))
    proxy = f"/api/v1/namespaces/{settings.kfp_namespace}/services/ml-pipeline:8888/proxy"
    configuration.host = kubernetes.host.rstrip("/") + proxy

    def refresh(refreshed: Configuration) -> None:
        if kubernetes.refresh_api_key_hook is not None:
            kubernetes.refresh_api_key_hook(kubernetes)
        refreshed.api_key.update(kubernetes.api_key)

    configuration.refresh_api_key_hook = refresh
    refresh(configuration)


@contextmanager
def answering(place: str) -> Iterator[None]:
    """Turns the client's exceptions into ours.

    Raises:
        ServiceAwayError: no connection, a time-out, or an answer that says `later`.
        UserError: the service refused the input, or knows no such thing.
        LakeloopError: it refused the caller.
    """
    from kfp_server_api.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise _named(error.status or 0, _message(error), place) from error
    except (HTTPError, OSError) as error:
        raise ServiceAwayError(f"no connection: {error}", where=place) from error


def _named(status: int, message: str, place: str) -> LakeloopError:
    if status == _NO_SUCH:
        return UserError(f"there is no such thing: {message}", where=place, fix="check id and cluster")
    if status in _BAD or any(text in message for text in _INTERNAL_PROBLEMS):
        return UserError(f"the service does not accept it: {message}", where=place)
    if status in _REFUSED:
        return LakeloopError(
            f"not allowed ({status}): {message}",
            where=place,
            fix="see the roles in docs/guides/cluster.md, and LAKELOOP_KFP_TOKEN_FILE",
        )
    return ServiceAwayError(f"the service answered {status or 'nothing'}: {message}", where=place)


def _message(error: object) -> str:
    import json

    body = getattr(error, "body", None)
    try:
        said = json.loads(body) if body else {}
    except ValueError:
        said = {}
    text = said.get("error") or said.get("message") if isinstance(said, dict) else ""
    return str(text or getattr(error, "reason", "") or "no reason given").strip()[:600]
