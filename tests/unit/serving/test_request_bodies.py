"""Bodies that come whole, in parts, late, or never."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lakeloop.serving.gateway import app as gateway
from lakeloop.serving.gateway.app import Gateway
from lakeloop.serving.gateway.routes_file import RoutesFile
from lakeloop.serving.http import Refused, read_body

GONE = {"type": "http.disconnect"}


class Caller:
    """Sends its messages, each after a turn of the loop where it is not at hand, then nothing any more."""

    def __init__(self, *messages: dict[str, Any], at_hand: bool = True) -> None:
        self._messages, self._at_hand = list(messages), at_hand

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            await asyncio.Event().wait()
        if not self._at_hand:
            await asyncio.sleep(0)
        return self._messages.pop(0)


def part(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


def read(caller: Caller) -> bytes:
    return asyncio.run(read_body(caller.receive, limit=5, seconds=0.05))


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_body_in_parts_is_read_whole(at_hand: bool) -> None:
    assert read(Caller(part(b"abc"), at_hand=at_hand)) == b"abc"
    assert read(Caller(part(b"ab", more=True), part(b"", more=True), part(b"c"), at_hand=at_hand)) == b"abc"


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([], 408),
        ([part(b"a", more=True)], 408),
        ([part(b"123456")], 413),
        ([part(b"1234", more=True), part(b"56", more=True)], 413),
        ([GONE], 400),
        ([part(b"a", more=True), GONE], 400),
    ],
)
@pytest.mark.parametrize("at_hand", [True, False])
def test_one_that_never_comes_or_is_too_large_is_refused(
    messages: list[dict[str, Any]], status: int, at_hand: bool
) -> None:
    with pytest.raises(Refused) as refused:
        read(Caller(*messages, at_hand=at_hand))
    assert refused.value.status == status


def test_who_cancels_the_reading_of_a_body_ends_it() -> None:
    async def scenario() -> bool:
        reading = asyncio.create_task(read_body(Caller().receive))
        await asyncio.sleep(0)
        reading.cancel()
        try:
            await reading
        except asyncio.CancelledError:
            return True
        return False

    assert asyncio.run(scenario())


@pytest.mark.parametrize(
    ("messages", "status"), [([], 408), ([part(b"{", more=True)], 408), ([part(b"{", more=True), GONE], 400)]
)
def test_a_gateway_waits_no_longer_and_sends_no_half_of_a_body_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[dict[str, Any]], status: int
) -> None:
    monkeypatch.setattr(gateway, "read_body", partial(read_body, seconds=0.05))
    answered: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    app = Gateway("card-fraud", RoutesFile(tmp_path / "routes.json"))
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(asyncio.wait_for(app(scope, Caller(*messages).receive, send), 10))
    assert answered[0]["status"] == status
