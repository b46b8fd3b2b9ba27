"""A coroutine's first step by itself: what need not wait needs no timer, which takes longer than such a step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """A coroutine after its first step: `done`, with its `value`, or to be awaited on."""

    __slots__ = ("_awaited", "_coroutine", "done", "value")
    value: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Take the step."""
        self._coroutine = coroutine
        try:
            self._awaited, self.done = coroutine.send(None), False
        except StopIteration as returned:
            self.value, self.done = returned.value, True

    def __await__(self) -> Generator[Any, Any, T]:
        """The rest of it; whatever comes in meanwhile, a cancellation too, is handed on to the coroutine."""
        go_on: Callable[[], Any] = lambda: self._awaited  # noqa: E731
        while True:
            try:
                awaited = go_on()
            except StopIteration as returned:
                value: T = returned.value
                return value
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - the coroutine's own, to be handled there
                go_on = partial(self._coroutine.throw, error)
            else:
                go_on = partial(self._coroutine.send, sent)
