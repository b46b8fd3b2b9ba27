"""Requests that arrive together are scored together, and logged together before any of them is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from lakeloop.serving.http import Refused
from lakeloop.serving.prediction_log.segments import SEGMENT_SECONDS, Record

if TYPE_CHECKING:
    import numpy as np

    from lakeloop.serving.prediction_log.segments import SegmentWriter

ROWS_IN_LOOP = 4096
"""More rows are scored in a thread (XGBoost releases the interpreter's lock), so that probes are answered meanwhile."""
ROWS_BESIDE_LOOP = 128
"""From so many rows of several requests on, too: the next requests are read meanwhile, on another core."""


Form = Literal["rows", "v1", "v2", "ids"]


@dataclass(slots=True, frozen=True)
class Scored:
    """One request's answer: a score and an id for each row."""

    scores: list[float]
    prediction_ids: list[str]


@dataclass(slots=True, frozen=True)
class Sent:
    """What the caller sent, for the log: its bytes and their form; `inputs` where the bytes do not hold them."""

    form: Form
    body: bytes
    purpose: str = ""
    inputs: list[Any] | None = None


@dataclass(slots=True)
class _Waiting:
    matrix: np.ndarray[Any, Any]
    sent: Sent
    answer: asyncio.Future[Scored]
    scored: Scored | None = None


class Batcher:
    """Collects what one turn of the event loop brings; nothing waits for more to come."""

    def __init__(
        self,
        predict: Callable[[np.ndarray[Any, Any]], list[float]],
        log: SegmentWriter | None = None,
        *,
        log_to_disk: bool = False,
    ) -> None:
        """Around a booster.

        Args:
            predict: matrix [rows, features] -> scores [rows].
            log: where predictions are written before they are answered; None: nowhere.
            log_to_disk: answer only once they are on the disk, not only in the file.
        """
        self._predict, self._log, self._log_to_disk = predict, log, log_to_disk
        self._waiting: list[_Waiting] = []
        self._working = False
        self._in_thread = False
        self._closing: asyncio.TimerHandle | None = None
        self._ids = _Ids()

    async def score(self, matrix: np.ndarray[Any, Any], sent: Sent) -> Scored:
        """Score, log, then answer.

        Args:
            matrix: what the booster sees [rows, features].
            sent: the request, for the log.

        Raises:
            Refused: 503, the prediction cannot be logged.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(matrix, sent, loop.create_future())
        self._waiting.append(waiting)
        if not self._working:
            self._working = True
            loop.call_soon(self._turn)
        return await waiting.answer

    def _turn(self) -> None:
        taken, self._waiting = self._waiting, []
        rows = sum(len(w.matrix) for w in taken)
        beside = rows > ROWS_IN_LOOP or (len(taken) > 1 and rows >= ROWS_BESIDE_LOOP)
        if beside or (self._log_to_disk and self._log is not None):
            self._in_thread = True
            work = asyncio.get_running_loop().run_in_executor(None, self._work, taken, self._log_to_disk)
            work.add_done_callback(lambda done: self._answer(taken, done.exception()))
            return
        try:
            self._work(taken, False)
        except Exception as error:  # noqa: BLE001 - handed to each caller
            self._answer(taken, error)
        else:
            self._answer(taken, None)

    def _work(self, taken: list[_Waiting], to_disk: bool) -> None:
        import numpy as np

        matrix = taken[0].matrix if len(taken) == 1 else np.concatenate([w.matrix for w in taken])
        scores = self._predict(matrix)
        start = 0
        for waiting in taken:
            count = len(waiting.matrix)
            waiting.scored = Scored(scores[start : start + count], self._ids.take(count))
            start += count
        if self._log is not None:
            at_us = time.time_ns() // 1000
            self._log.append([_record(at_us, w.scored, w.sent) for w in taken if w.scored])
            if to_disk:
                self._log.sync()

    def _answer(self, taken: list[_Waiting], error: BaseException | None) -> None:
        if isinstance(error, OSError):
            error = Refused(503, "the prediction log cannot be written, so nothing is answered")
        for waiting in taken:
            if waiting.answer.done():
                continue
            if error is not None or waiting.scored is None:
                waiting.answer.set_exception(error or Refused(500, "no score"))
            else:
                waiting.answer.set_result(waiting.scored)
        loop = asyncio.get_running_loop()
        self._in_thread, self._working = False, bool(self._waiting)
        if self._working:
            loop.call_soon(self._turn)
        if self._log is not None and self._closing is None:
            self._closing = loop.call_later(SEGMENT_SECONDS, self._close_segment)

    def _close_segment(self) -> None:
        if self._in_thread:  # which may be writing
            self._closing = asyncio.get_running_loop().call_later(0.01, self._close_segment)
        elif self._log is not None:
            self._closing = None
            self._log.close()


def _record(at_us: int, scored: Scored, sent: Sent) -> Record:
    header: dict[str, Any] = {
        "at_us": at_us,
        "form": sent.form,
        "ids": scored.prediction_ids,
        "scores": scored.scores,
    }
    if sent.purpose:
        header["purpose"] = sent.purpose
    if sent.inputs is not None:
        header["inputs"] = sent.inputs
    return header, sent.body


_IDS_A_BASE = 2**32 - 1


class _Ids:
    """Unique 32-digit hex ids: 24 random digits a process, then a count."""

    def __init__(self) -> None:
        self._base, self._next = uuid4().hex[:24], 0

    def take(self, count: int) -> list[str]:
        if self._next + count > _IDS_A_BASE:
            self._base, self._next = uuid4().hex[:24], 0
        first, self._next = self._next, self._next + count
        return [f"{self._base}{n:08x}" for n in range(first, self._next)]
