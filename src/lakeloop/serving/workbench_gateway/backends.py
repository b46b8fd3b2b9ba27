"""Backends that are models of a workbench: lakeloop's requests to the model service and back, and what came of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from lakeloop.adapters.cai.model_service import NotAnsweredError, answer_of, records_of, request_of, rows_data
from lakeloop.serving.gateway.backends import CONNECT_SECONDS

OK = 200
REFUSALS = frozenset({400, 401, 403, 404})
KEY_SECONDS = 5.0
CONNECTIONS = 256
KEEP_ALIVE_SECONDS = 15.0
LATENCIES_KEPT = 500
if TYPE_CHECKING:
    import aiohttp

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
        # Key, and when it was last found to be the right one although it was refused.
        self._keys: dict[str, tuple[str, float]] = {}
        self._asking = asyncio.Lock()
        self._counted: dict[str, Counted] = {}
        # Not httpx: its work for a request costs six times as much, more than all that is ours (adr/0015).
        self._session: aiohttp.ClientSession | None = None

    async def send(  # noqa: PLR0913, PLR0917 - an HTTP request
        self, url: str, method: str, target: bytes, headers: Headers, body: bytes, seconds: float
    ) -> Answer:
        """`POST /predict` or `GET /version` of lakeloop's predictor, answered by the model.

        Args:
            url: of the model.
            method: GET or POST.
            target: path and query.
            headers: of the request; whether it proves a rollout.
            body: of the request.
            seconds: how long the model may take.

        Raises:
            httpx.TransportError: the model did not answer; another one may be asked.
        """
        path = target.partition(b"?")[0]
        if (method, path) == ("GET", b"/version"):
            records = await self._ask(url, [["version"]], seconds, proof=True)
            return 200, json.dumps(records[0].get("identity")).encode(), _JSON
        if path != b"/predict":
            return 404, json.dumps({"error": "POST /predict or GET /version"}).encode(), _JSON
        if method != "POST":
            return 405, json.dumps({"error": "POST it"}).encode(), _JSON
        try:
            data = rows_data(orjson.loads(body)["rows"])
        except (ValueError, KeyError, TypeError) as error:
            return 422, json.dumps({"error": f"the body must be {{'rows': [...]}}: {error}"}).encode(), _JSON
        proof = any(name == PURPOSE and value == b"proof" for name, value in headers)
        return await self._predict(url, data, seconds, proof=proof)

    async def _predict(self, url: str, data: list[list[str]], seconds: float, *, proof: bool) -> Answer:
        counted, started = self._counted.setdefault(url, Counted()), time.monotonic()
        try:
            answer = answer_of(await self._ask(url, data, seconds, proof=proof))
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
        return 200, orjson.dumps(answer), _JSON

    async def _ask(
        self, url: str, data: list[list[str]], seconds: float, *, proof: bool
    ) -> list[dict[str, Any]]:
        service, _, model = url.partition("#")
        counted = self._counted.setdefault(url, Counted())
        counted.under_way += 1
        try:
            key = await self._key(model)
            status, raw = await self._posted(service, key, data, seconds, proof=proof)
            if status in REFUSALS and (renewed := await self._key(model, refused=key)) != key:
                status, raw = await self._posted(service, renewed, data, seconds, proof=proof)
        finally:
            counted.under_way -= 1
        if status != OK:
            raise httpx.RemoteProtocolError(f"model {model} answered {status}")
        try:
            content = orjson.loads(raw)
        except ValueError as error:
            raise httpx.RemoteProtocolError(f"model {model} answered no JSON") from error
        return records_of(content, model)

    async def _posted(
        self, service: str, key: str, data: list[list[str]], seconds: float, *, proof: bool
    ) -> tuple[int, bytes]:
        import aiohttp

        if self._session is None:
            connections = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
            headers = {"content-type": "application/json", "authorization": f"Bearer {self._model_key}"}
            self._session = aiohttp.ClientSession(connector=connections, headers=headers)
        body = orjson.dumps({"accessKey": key, "request": request_of(data, proof=proof)})
        # Not `connect`: that counts the wait for one of the connections too, long where replicas are busy.
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.post(service, data=body, timeout=limit) as answer:
                return answer.status, await answer.read()
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection in {CONNECT_SECONDS:g} s") from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer in {seconds:g} s") from error
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(f"{type(error).__name__}: {error}") from error

    async def _key(self, model: str, refused: str = "") -> str:
        """The model's access key; one question at a time, however many requests wait for it.

        A key that was refused is asked for again: the model may have been made anew. While it stays the same one, not
        for each of many requests.
        """
        if self._known(model, refused) is None:
            async with self._asking:
                if self._known(model, refused) is None:
                    key = await self._asked(model)
                    self._keys[model] = key, time.monotonic() if key == refused else 0.0
        return self._keys[model][0]

    def _known(self, model: str, refused: str) -> str | None:
        key, since = self._keys.get(model, (None, 0.0))
        doubtful = key == refused != "" and time.monotonic() - since > KEY_SECONDS
        return None if doubtful else key

    async def _asked(self, model: str) -> str:
        try:
            return await asyncio.to_thread(self._access_key, model)
        except Exception as error:
            raise httpx.RemoteProtocolError(
                f"the access key of model {model} is not known: {type(error).__name__}"
            ) from error

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
