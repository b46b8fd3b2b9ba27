"""A time limit that costs nothing where nothing is waited for: a timer takes longer than reading a short body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns; the limit is set once it has to wait.

    Raises:
        TimeoutError: it took longer; it is cancelled.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    async with asyncio.timeout(seconds):
        return await _Begun(coroutine, awaited)


class _Begun(Generic[T]):
    """The rest of a coroutine that has begun and waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._coroutine, self._awaited = coroutine, awaited

    def __await__(self) -> Generator[Any, Any, T]:
        """As `await coroutine`, from where it is: whatever comes in meanwhile, a cancellation too, is handed on."""
        go_on: Callable[[], Any] = lambda: self._awaited  # noqa: E731
        while True:
            try:
                awaited = go_on()
            except StopIteration as done:
                value: T = done.value
                return value
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - the coroutine's own, to be handled there
                go_on = partial(self._coroutine.throw, error)
            else:
                go_on = partial(self._coroutine.send, sent)
