"""What the deployer asks of a predictor or a gateway, over HTTP on the loopback interface."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Identity

ANSWER_SECONDS = 30.0
PURPOSE_HEADER = "lakeloop-purpose"
"""Tells predictions that prove a rollout from callers' ones, in the prediction log."""
_ONE_CALL = httpx.Limits(max_keepalive_connections=0)
# Loopback is plain HTTP: without this, httpx reads all certificate authorities for each client, 80 ms.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def version(url: str) -> Identity | None:
    """Who answers; None where nobody does."""
    try:
        answer = _client().get(f"{url}/version")
        return Identity.model_validate_json(answer.content) if answer.is_success else None
    except (httpx.TransportError, ValidationError):
        return None


def gateway_status(url: str) -> dict[str, Any]:
    """`GET /gateway/status`; generation -1 where it does not answer."""
    try:
        status: dict[str, Any] = _client().get(f"{url}/gateway/status").json()
    except (httpx.TransportError, ValueError):
        return {"generation": -1}
    return status


def predict(url: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer to rows.

    Raises:
        LakeloopError: no answer, or a refusal, in the server's words.
    """
    try:
        answer = _client().post(f"{url}/predict", json={"rows": list(rows)})
        content: dict[str, Any] = answer.json()
    except (httpx.TransportError, ValueError) as error:
        raise LakeloopError(f"no answer: {type(error).__name__}: {error}", where=url) from error
    if not answer.is_success:
        raise LakeloopError(f"answered {answer.status_code}: {content.get('error', content)}", where=url)
    return content


def check_identity(url: str, expected: Identity) -> None:
    """The server is what was registered, its XGBoost included where the training told it.

    Raises:
        LakeloopError: it is not, or does not say; names each difference.
    """
    said = version(url)
    if said is None:
        raise LakeloopError("the candidate's server does not say who it is", where=url, fix="see its log")
    if told := expected.differences(said):
        raise LakeloopError(
            f"the candidate's server is not what was registered: {told}",
            where=url,
            fix="serve with the environment of the training, from its lock file",
        )


def _client() -> httpx.Client:
    # One connection a call: a server that was replaced meanwhile is never asked through a dead one.
    return httpx.Client(
        trust_env=False,
        timeout=ANSWER_SECONDS,
        limits=_ONE_CALL,
        verify=_NO_AUTHORITIES,
        headers={PURPOSE_HEADER: "proof", **_authorization()},
    )


def _authorization() -> dict[str, str]:
    """The token that the servers of this machine were started with, if there is one."""
    file, token = os.environ.get("LAKELOOP_SERVING_TOKEN_FILE"), os.environ.get("LAKELOOP_SERVING_TOKEN")
    if file:
        token = next(iter(Path(file).read_text(encoding="utf-8").split()), "")
    return {"authorization": f"Bearer {token}"} if token else {}
