"""Before a transformer answers: its predictor does, is of the right model, and tells how features are made."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import httpx
import orjson
from pydantic import ValidationError

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.rollout import Identity
from lakeloop.serving.feature_function import FeatureFunction
from lakeloop.serving.predictor.app import ENCODING_PATH

POLL_SECONDS = 0.5
ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 1.0
"""Where a Service has no such port, nobody refuses: each look at the other one would take so long."""
_PORTS = (80, 8080)
"""Of KServe's Service of a predictor, which it does not say; a headless one leads straight to the pod's own port."""


@dataclass(frozen=True)
class Met:
    """A predictor that was asked who it is."""

    url: str
    function: FeatureFunction


def meet(host: str, expected: Identity | None, token: str, limit_seconds: float) -> Met:
    """The predictor at `host`, once it answers; one that starts, or an address that leads elsewhere, is waited for.

    Args:
        host: name, with its port or without.
        expected: who it must be; None: whoever it is.
        token: for it; empty where it asks for none.
        limit_seconds: how long at most.

    Raises:
        LakeloopError: it does not answer in time, or is of another model.
    """
    deadline, told = time.monotonic() + limit_seconds, ""
    limits = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    with httpx.Client(trust_env=False, timeout=limits) as client:
        while isinstance(found := _looked(client, host, expected, token), str):
            if time.monotonic() > deadline:
                raise LakeloopError(
                    f"the predictor does not answer within {limit_seconds:g} s: {found}",
                    where=host,
                    fix="see the predictor's log, and the NetworkPolicies between the two",
                )
            if found != told:
                told = found
                print(f"waiting for the predictor: {told}", file=sys.stderr, flush=True)  # noqa: T201
            time.sleep(POLL_SECONDS)
    return found


def _looked(client: httpx.Client, host: str, expected: Identity | None, token: str) -> Met | str:
    """It, or why not, of each address that it may have."""
    problems = []
    for url in _urls(host):
        found = _asked(client, url, expected, token)
        if isinstance(found, Met):
            return found
        problems.append(f"{url}: {found}")
    return "; ".join(problems)


def _urls(host: str) -> list[str]:
    ports = [""] if ":" in host else [f":{port}" for port in _PORTS]
    return [f"http://{host}{port}" for port in ports]


def _asked(client: httpx.Client, url: str, expected: Identity | None, token: str) -> Met | str:
    """It, or why not. A connection a call: an address that led elsewhere is not held on to."""
    headers = {"connection": "close"} | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        answer = client.get(url + ENCODING_PATH, headers=headers)
        if answer.status_code != httpx.codes.OK:
            return f"answered {answer.status_code}: {answer.text[:200]}"
        said = orjson.loads(answer.content)
        identity = Identity.model_validate(said["identity"])
        encoding = FeatureEncoding.model_validate(said["encoding"])
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    except (ValidationError, ValueError, KeyError, TypeError):
        return "it is no predictor that takes ready features"
    differences = expected.differences(identity) if expected else ""
    return (
        f"another model answers: {differences}"
        if differences
        else Met(url, FeatureFunction(encoding, identity))
    )
