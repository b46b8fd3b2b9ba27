"""What the servers share of HTTP: a body with a limit, a token, and a failure that has a status."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lakeloop.serving.first_step import Begun

MAX_BODY_BYTES = 16 * 2**20
BODY_SECONDS = 20.0

Headers = list[tuple[bytes, bytes]]


class Refused(Exception):  # noqa: N818 - an answer, not a fault of the server
    """The request is answered with this status and one sentence."""

    def __init__(self, status: int, text: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """With more headers where the status asks for some."""
        super().__init__(text)
        self.status, self.headers = status, list(headers)


async def read_body(receive: Any, limit: int = MAX_BODY_BYTES, seconds: float = BODY_SECONDS) -> bytes:
    """The request's whole body.

    Raises:
        Refused: 413 over the limit, 408 when it does not arrive in time, 400 when the caller went away.
    """
    try:
        first: Begun[dict[str, Any]] = Begun(receive())
        if first.done and not first.value.get("more_body"):
            return _body([], first.value, limit)
        async with asyncio.timeout(seconds):
            return await _rest(receive, first.value if first.done else await first, limit)
    except TimeoutError:
        raise Refused(
            408, f"the body did not arrive within {seconds:g} s", [(b"connection", b"close")]
        ) from None


async def _rest(receive: Any, message: dict[str, Any], limit: int) -> bytes:
    parts, size = list[bytes](), 0
    while message.get("more_body"):
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        message = await receive()
    return _body(parts, message, limit)


def _body(parts: list[bytes], last: dict[str, Any], limit: int) -> bytes:
    if last["type"] == "http.disconnect":
        raise Refused(400, "the caller went away")
    body: bytes = last.get("body", b"")
    if parts:
        body = b"".join([*parts, body])
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> Refused:
    return Refused(
        413, f"the body is larger than {limit} bytes; send fewer rows", [(b"connection", b"close")]
    )


class Tokens:
    """Callers' tokens: any of them opens the API; none configured, it is open."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Accept each of `tokens`: two of them while one replaces the other; `own`, the first, for other servers."""
        told = list(tokens)
        self.own = told[0] if told else ""
        self._known = [b"Bearer " + token.encode() for token in told]

    @classmethod
    def of_environment(cls, environment: dict[str, str]) -> Tokens:
        """`LAKELOOP_SERVING_TOKEN`, or the lines of the file `LAKELOOP_SERVING_TOKEN_FILE` (a mounted Secret).

        Raises:
            OSError: the file cannot be read.
            ValueError: the file has no token: the API would be open by mistake.
        """
        file = environment.get("LAKELOOP_SERVING_TOKEN_FILE")
        if file:
            lines = Path(file).read_text(encoding="utf-8").split()
            if not lines:
                raise ValueError(f"{file} has no token")
            return cls(lines)
        token = environment.get("LAKELOOP_SERVING_TOKEN")
        return cls([token] if token else [])

    @property
    def asked(self) -> bool:
        """Whether callers need a token."""
        return bool(self._known)

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Let the request pass.

        Raises:
            Refused: 401, no token or a wrong one.
        """
        if not self._known:
            return
        given = next((value for name, value in headers if name == b"authorization"), b"")
        # Every token is compared, each in constant time: the answer's time tells nothing.
        if not any([hmac.compare_digest(given, known) for known in self._known]):  # noqa: C419
            raise Refused(
                401, "send a valid token: Authorization: Bearer TOKEN", [(b"www-authenticate", b"Bearer")]
            )
