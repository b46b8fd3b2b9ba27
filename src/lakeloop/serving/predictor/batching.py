"""Requests that arrive together are scored together, and logged together before any of them is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lakeloop.serving.http import Refused
from lakeloop.serving.prediction_log.segments import SEGMENT_SECONDS, Record
from lakeloop.serving.predictor.prediction_ids import PredictionIds

if TYPE_CHECKING:
    import numpy as np

    from lakeloop.serving.prediction_log.segments import SegmentWriter

ROWS_IN_LOOP = 4096
"""More rows are scored in a thread (XGBoost releases the interpreter's lock), so that probes are answered meanwhile."""
ROWS_BESIDE_LOOP = 128
"""From so many rows of several requests on, too: the next requests are read meanwhile, on another core."""
BATCHES_IN_THREAD = 2
"""One that is scored, and the next; what comes meanwhile is scored together."""


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
class _Asked:
    matrix: np.ndarray[Any, Any]
    sent: Sent


@dataclass(slots=True)
class _Waiting(_Asked):
    answer: asyncio.Future[Scored]


Batch = list[_Waiting]


class Batcher:
    """Collects what one turn of the event loop brings; nothing waits for more to come.

    Many rows are scored by a thread while the loop reads the next requests: as soon as they are many, not only once the
    loop has read all, and one batch ahead, so that neither of the two waits for the other. A request that comes alone,
    as the last one did, is scored at once: the loop need not turn before.
    """

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
        self._predict, self._log = predict, log
        self._to_disk = log_to_disk and log is not None
        self._waiting: Batch = []
        self._rows = 0
        self._turn_is_due = False
        self._of_turn = 0
        self._come_alone = False
        self._thread = ThreadPoolExecutor(1, "scoring")
        self._in_thread = 0
        self._closing: asyncio.TimerHandle | None = None
        self._ids = PredictionIds()

    async def score(self, matrix: np.ndarray[Any, Any], sent: Sent) -> Scored:
        """Score, log, then answer.

        Args:
            matrix: what the booster sees [rows, features].
            sent: the request, for the log.

        Raises:
            Refused: 503, the prediction cannot be logged.
        """
        loop = asyncio.get_running_loop()
        self._of_turn += 1
        if not self._turn_is_due:
            self._turn_is_due = True
            loop.call_soon(self._turn)
        if self._is_alone and len(matrix) <= ROWS_IN_LOOP and not self._to_disk:
            [scored] = self._logged([_Asked(matrix, sent)], self._predict(matrix))
            self._close_later()
            return scored
        waiting = _Waiting(matrix, sent, loop.create_future())
        self._waiting.append(waiting)
        self._rows += len(matrix)
        if self._are_many and self._thread_has_room and not self._to_disk:
            self._score_in_thread()
        return await waiting.answer

    @property
    def _is_alone(self) -> bool:
        return self._come_alone and self._of_turn == 1 and not self._waiting and not self._in_thread

    @property
    def _are_many(self) -> bool:
        return self._rows > ROWS_IN_LOOP or (len(self._waiting) > 1 and self._rows >= ROWS_BESIDE_LOOP)

    @property
    def _thread_has_room(self) -> bool:
        # What waits for the disk waits together.
        return self._in_thread < (1 if self._to_disk else BATCHES_IN_THREAD)

    def _turn(self) -> None:
        self._turn_is_due = False
        self._come_alone, self._of_turn = self._of_turn == 1, 0
        self._score_waiting()

    def _score_waiting(self) -> None:
        if not self._waiting:
            return
        if not self._are_many and not self._to_disk:
            batch, matrix = self._take()
            self._answer(batch, partial(self._score_and_log, batch, matrix))
        elif self._thread_has_room:
            self._score_in_thread()

    def _take(self) -> tuple[Batch, np.ndarray[Any, Any]]:
        import numpy as np

        batch, self._waiting, self._rows = self._waiting, [], 0
        return batch, batch[0].matrix if len(batch) == 1 else np.concatenate([w.matrix for w in batch])

    def _score_in_thread(self) -> None:
        loop, (batch, matrix) = asyncio.get_running_loop(), self._take()
        self._in_thread += 1
        # Only what waits for the disk is logged there: Python in a thread waits for the loop to stand still.
        work: Future[Any] = (
            self._thread.submit(self._score_and_log, batch, matrix)
            if self._to_disk
            else self._thread.submit(self._predict, matrix)
        )
        work.add_done_callback(lambda done: loop.call_soon_threadsafe(self._back, batch, done))

    def _back(self, batch: Batch, done: Future[Any]) -> None:
        self._in_thread -= 1
        self._score_waiting()
        self._answer(batch, done.result if self._to_disk else lambda: self._logged(batch, done.result()))

    def _score_and_log(self, batch: Batch, matrix: np.ndarray[Any, Any]) -> list[Scored]:
        return self._logged(batch, self._predict(matrix))

    def _logged(self, batch: Sequence[_Asked], scores: list[float]) -> list[Scored]:
        answers, start = [], 0
        for waiting in batch:
            count = len(waiting.matrix)
            answers.append(Scored(scores[start : start + count], self._ids.take(count)))
            start += count
        if self._log is not None:
            at_us = time.time_ns() // 1000
            self._append([_record(at_us, s, a.sent) for s, a in zip(answers, batch, strict=True)], self._log)
        return answers

    def _append(self, records: Sequence[Record], log: SegmentWriter) -> None:
        try:
            log.append(records)
            if self._to_disk:
                log.sync()
        except OSError as error:
            raise Refused(503, "the prediction log cannot be written, so nothing is answered") from error

    def _answer(self, batch: Batch, logged: Callable[[], list[Scored]]) -> None:
        try:
            answers = logged()
        except Exception as error:  # noqa: BLE001 - handed to each caller
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
        else:
            for waiting, scored in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(scored)
        self._close_later()

    def _close_later(self) -> None:
        if self._log is not None and self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(SEGMENT_SECONDS, self._close_segment)

    def _close_segment(self) -> None:
        if self._to_disk and self._in_thread:  # which may be writing
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
