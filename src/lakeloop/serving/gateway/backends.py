"""Connections to backends: one keep-alive pool each, and a count of what is under way."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import httpx

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 60.0
_LIMITS = httpx.Limits(max_connections=256, max_keepalive_connections=64, keepalive_expiry=30.0)

# Backends speak plain HTTP: without this, httpx reads all certificate authorities for each pool, 80 ms.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Headers = list[tuple[bytes, bytes]]


class Backends:
    """Pools by URL; used from one event loop only."""

    def __init__(self) -> None:
        self._pools: dict[str, httpx.AsyncHTTPTransport] = {}
        self._under_way: dict[str, int] = {}
        self._answered: dict[str, int] = {}

    async def send(  # noqa: PLR0913, PLR0917 - an HTTP request
        self, url: str, method: str, target: bytes, headers: Headers, body: bytes, seconds: float
    ) -> tuple[int, bytes, Headers]:
        """One request; status, whole body, headers.

        Args:
            url: of the backend.
            method: GET, POST...
            target: path and query.
            headers: end to end.
            body: whole.
            seconds: how long an answer is waited for.

        Raises:
            httpx.TransportError: the backend did not answer.
        """
        if url not in self._pools:
            self._pools[url] = _transport(_LIMITS)
        with self.counted(url):
            return await _exchange(self._pools[url], url, method, target, headers, body, seconds)

    @contextmanager
    def counted(self, url: str) -> Iterator[None]:
        """One request to a backend: under way, and answered unless it fails."""
        self._under_way[url] = self._under_way.get(url, 0) + 1
        try:
            yield
        finally:
            self._under_way[url] -= 1
        self._answered[url] = self._answered.get(url, 0) + 1

    def counts(self, url: str) -> dict[str, int]:
        """Requests under way at a backend, and answered by it so far."""
        return {"in_flight": self._under_way.get(url, 0), "answered": self._answered.get(url, 0)}

    def in_flight(self) -> dict[str, int]:
        """Requests under way by URL, also at backends that are no longer routed."""
        return {url: count for url, count in self._under_way.items() if count}

    async def keep(self, urls: Collection[str]) -> None:
        """Close the pools of other backends, once nothing is under way there."""
        gone = [u for u in self._pools if u not in urls and not self._under_way.get(u)]
        for url in gone:
            pool = self._pools.pop(url)
            self._under_way.pop(url, None)
            self._answered.pop(url, None)
            await pool.aclose()


async def who(url: str) -> tuple[int, bytes]:
    """`GET /version` of a backend over a connection of its own; status and body.

    An address that belonged to another Service a moment ago may still lead there: a connection from then, kept
    for traffic, would go on doing so.

    Raises:
        httpx.TransportError: nobody answered.
    """
    async with _transport(httpx.Limits(max_keepalive_connections=0)) as once:
        status, content, _ = await _exchange(once, url, "GET", b"/version", [], b"", ANSWER_SECONDS)
    return status, content


def _transport(limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(limits=limits, trust_env=False, verify=_NO_AUTHORITIES)


async def _exchange(  # noqa: PLR0913, PLR0917 - an HTTP request
    pool: httpx.AsyncHTTPTransport,
    url: str,
    method: str,
    target: bytes,
    headers: Headers,
    body: bytes,
    seconds: float,
) -> tuple[int, bytes, Headers]:
    base = httpx.URL(url)
    request = httpx.Request(
        method,
        base.copy_with(raw_path=target),
        headers=[(b"host", base.netloc), *headers],
        content=body,
        extensions={"timeout": httpx.Timeout(seconds, connect=CONNECT_SECONDS).as_dict()},
    )
    response = await pool.handle_async_request(request)
    raw = [part async for part in response.stream]  # type: ignore[union-attr]
    await response.aclose()
    return response.status_code, b"".join(raw), response.headers.raw
