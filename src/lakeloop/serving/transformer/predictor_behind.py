"""The predictor behind a transformer: who it is, and what it makes of ready features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from lakeloop.domain.rollout import Identity
from lakeloop.serving.api import ANSWER_SECONDS
from lakeloop.serving.gateway.backends import Backends
from lakeloop.serving.http import Refused
from lakeloop.serving.predictor import ready_features
from lakeloop.serving.predictor.batching import Scored, Sent
from lakeloop.serving.predictor.binary_tensors import HEADER
from lakeloop.serving.predictor.protocols import Explanation
from lakeloop.serving.structured_log import log
from lakeloop.serving.tracing import Tracing

if TYPE_CHECKING:
    import numpy as np

Headers = list[tuple[bytes, bytes]]
_NOT_ANSWERED = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)
_OK = 200
_PASSED_ON = {409, 413, 500, 503}
"""What a predictor refuses for everybody's eyes. Another refusal is about this transformer, not about its caller."""


class PredictorBehind:
    """Scorer (lakeloop.serving.predictor.scoring) that asks a predictor of the same model."""

    def __init__(
        self,
        url: str,
        identity: Identity,
        features: Sequence[str],
        headers: Headers,
        tracing: Tracing | None = None,
    ) -> None:
        """Not asked yet.

        Args:
            url: of the predictor.
            identity: of its model, which each request names.
            features: names, in the booster's order.
            headers: of each request: this server's token.
            tracing: whose spans go on at the predictor.
        """
        self._url, self._identity, self._features = url, identity, features
        self._headers, self._tracing, self._backends = headers, tracing, Backends()
        name, version = identity.model_name, identity.version
        self._target = f"/v2/models/{name}/versions/{version}/infer".encode()

    async def score(
        self, matrix: np.ndarray[Any, Any], sent: Sent, *, explained: bool = False
    ) -> tuple[Scored, Explanation | None]:
        """Scored and logged by the predictor.

        Raises:
            Refused: 503, it does not answer or does not know this transformer; 409, it is of another model; 413, too
                many rows; or what it refuses.
        """
        body, json_bytes = ready_features.request_of(self._identity, matrix, sent, explained=explained)
        headers = [*self._headers, (HEADER, b"%d" % json_bytes)]
        if self._tracing is not None:
            headers += self._tracing.onward()
        status, content = await self._ask(body, headers)
        if status != _OK:
            raise _refused(status, content)
        return ready_features.answered(content, self._features)

    async def _ask(self, body: bytes, headers: Headers) -> tuple[int, bytes]:
        """Twice where no answer came: it may be several pods, of which one has just gone.

        What was logged by a pod that then did not answer was not acknowledged; the second answer has its own ids.
        """
        try:
            try:
                return await self._once(body, headers)
            except _NOT_ANSWERED:
                return await self._once(body, headers)
        except httpx.TransportError as error:
            log("the predictor did not answer", "error", url=self._url, error=type(error).__name__)
            raise Refused(
                503,
                "the predictor behind this transformer does not answer; try again",
                [(b"retry-after", b"1")],
            ) from error

    async def _once(self, body: bytes, headers: Headers) -> tuple[int, bytes]:
        status, content, _ = await self._backends.send(
            self._url, "POST", self._target, headers, body, ANSWER_SECONDS
        )
        return status, content


def _refused(status: int, content: bytes) -> Refused:
    try:
        told = str(orjson.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        told = "no reason given"
    if status in _PASSED_ON:
        return Refused(status, told)
    log("the predictor refuses this transformer", "error", status=status)
    return Refused(503, f"the predictor behind this transformer refuses it ({status})")
