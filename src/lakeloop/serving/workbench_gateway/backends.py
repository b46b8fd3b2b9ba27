"""Backends that are models of a workbench: lakeloop's requests to the model service and back, and what came of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import httpx

from lakeloop.adapters.cai.model_service import NotAnsweredError, answer_of, records_of, request_of, rows_data

ANSWER_SECONDS = 60.0
LATENCIES_KEPT = 500
INVALID = "InvalidRequest: "
PURPOSE = b"lakeloop-purpose"
Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, bytes, Headers]
_JSON: Headers = [(b"content-type", b"application/json")]


@dataclass
class Counted:
    """What one model answered."""

    under_way: int = 0
    answered: int = 0
    failed: int = 0
    problem: str = ""
    scored: int = 0
    score_sum: float = 0.0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def fail(self, problem: str) -> None:
        """One request failed here; another model may yet answer it."""
        self.failed, self.problem = self.failed + 1, problem

    def p95_ms(self) -> float:
        """95th percentile of the last latencies."""
        ordered = sorted(self.latencies_ms)
        return ordered[int(0.95 * (len(ordered) - 1))] if ordered else 0.0


class WorkbenchBackends:
    """Models by their routes' URLs, `MODEL_SERVICE#MODEL_NAME`; used from one event loop only."""

    def __init__(self, access_key: Callable[[str], str], model_key: str) -> None:
        """Of one workbench.

        Args:
            access_key: of a model by name; asked once, and again where the model service does not know it.
            model_key: API key with the audience Application.
        """
        self._access_key, self._model_key = access_key, model_key
        self._keys: dict[str, str] = {}
        self._counted: dict[str, Counted] = {}
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=5.0),
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=64),
            trust_env=False,
        )

    async def send(self, url: str, method: str, target: bytes, headers: Headers, body: bytes) -> Answer:
        """`POST /predict` or `GET /version` of lakeloop's predictor, answered by the model.

        Raises:
            httpx.TransportError: the model did not answer; another one may be asked.
        """
        path = target.partition(b"?")[0]
        if (method, path) == ("GET", b"/version"):
            records = await self._ask(url, [["version"]])
            return 200, json.dumps(records[0].get("identity")).encode(), _JSON
        if path != b"/predict":
            return 404, json.dumps({"error": "POST /predict or GET /version"}).encode(), _JSON
        if method != "POST":
            return 405, json.dumps({"error": "POST it"}).encode(), _JSON
        try:
            rows = json.loads(body)["rows"]
            data = rows_data(rows)
        except (ValueError, KeyError, TypeError) as error:
            return 422, json.dumps({"error": f"the body must be {{'rows': [...]}}: {error}"}).encode(), _JSON
        proof = any(name == PURPOSE and value == b"proof" for name, value in headers)
        return await self._predict(url, data, proof=proof)

    async def _predict(self, url: str, data: list[list[str]], *, proof: bool) -> Answer:
        counted, started = self._counted.setdefault(url, Counted()), time.monotonic()
        try:
            answer = answer_of(await self._ask(url, data, proof=proof))
        except NotAnsweredError as error:
            if INVALID in error.problem:
                text = error.problem.partition(INVALID)[2].strip("'\"[]")
                return 422, json.dumps({"error": text}).encode(), _JSON
            counted.fail(error.problem)
            raise httpx.RemoteProtocolError(error.problem) from error
        except httpx.TransportError as error:
            counted.fail(f"{type(error).__name__}: {error}")
            raise
        counted.answered += 1
        counted.scored += len(answer["scores"])
        counted.score_sum += sum(answer["scores"])
        counted.latencies_ms.append((time.monotonic() - started) * 1000)
        return 200, json.dumps(answer).encode(), _JSON

    async def _ask(self, url: str, data: list[list[str]], *, proof: bool = True) -> list[dict[str, Any]]:
        service, _, model = url.partition("#")
        counted = self._counted.setdefault(url, Counted())
        counted.under_way += 1
        try:
            key = self._keys.get(model) or await self._fetched_key(model)
            body = {"accessKey": key, "request": request_of(data, proof=proof)}
            headers = {"authorization": f"Bearer {self._model_key}"}
            answer = await self._client.post(service, json=body, headers=headers)
        finally:
            counted.under_way -= 1
        if not answer.is_success:
            self._keys.pop(model, None)
            raise httpx.RemoteProtocolError(f"model {model} answered {answer.status_code}")
        try:
            content = answer.json()
        except ValueError as error:
            raise httpx.RemoteProtocolError(f"model {model} answered no JSON") from error
        return records_of(content, model)

    async def _fetched_key(self, model: str) -> str:
        try:
            self._keys[model] = await asyncio.to_thread(self._access_key, model)
        except Exception as error:
            raise httpx.RemoteProtocolError(
                f"the access key of model {model} is not known: {type(error).__name__}"
            ) from error
        return self._keys[model]

    def counts(self, url: str) -> dict[str, Any]:
        """Requests under way at a model, and what it answered so far."""
        counted = self._counted.get(url, Counted())
        return {
            "in_flight": counted.under_way,
            "answered": counted.answered,
            "failed": counted.failed,
            "problem": counted.problem,
            "scored": counted.scored,
            "score_sum": counted.score_sum,
            "p95_ms": round(counted.p95_ms(), 3),
        }

    def in_flight(self) -> dict[str, int]:
        """Requests under way by URL, also at models that are no longer routed."""
        return {url: counted.under_way for url, counted in self._counted.items() if counted.under_way}

    async def keep(self, urls: Collection[str]) -> None:
        """Forget nothing: both models share one service."""
