"""Requests that come together are scored together, each with its own answer, beside the loop where they are many."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakeloop.serving.http import Refused
from lakeloop.serving.prediction_log import segments
from lakeloop.serving.prediction_log.segments import SegmentWriter, read_segment
from lakeloop.serving.predictor import batching
from lakeloop.serving.predictor.batching import BATCHES_IN_THREAD, ROWS_BESIDE_LOOP, Batcher, Scored, Sent


class Booster:
    """Scores a row by its first value; keeps where it was asked, and for how many rows."""

    def __init__(self) -> None:
        self.calls: list[tuple[bool, int]] = []

    def __call__(self, matrix: np.ndarray[Any, Any]) -> list[float]:
        in_loop = threading.current_thread() is threading.main_thread()
        self.calls.append((in_loop, len(matrix)))
        scores: list[float] = matrix[:, 0].tolist()
        return scores


def ask(batcher: Batcher, sizes: list[int]) -> list[Scored]:
    async def together() -> list[Scored]:
        matrices = [np.full((rows, 2), number, np.float32) for number, rows in enumerate(sizes)]
        return list(await asyncio.gather(*(batcher.score(m, Sent("rows", b"{}")) for m in matrices)))

    return asyncio.run(together())


@pytest.mark.parametrize(
    ("sizes", "in_loop"),
    [
        ([1], True),
        ([100], True),
        ([1] * 64, True),
        ([ROWS_BESIDE_LOOP], True),
        ([100, 100], False),
        ([batching.ROWS_IN_LOOP + 1], False),
    ],
)
def test_who_asks_gets_its_own_scores_from_one_call(sizes: list[int], in_loop: bool) -> None:
    booster = Booster()
    answers = ask(Batcher(booster), sizes)
    assert [a.scores for a in answers] == [[float(n)] * rows for n, rows in enumerate(sizes)]
    ids = [i for a in answers for i in a.prediction_ids]
    assert len(set(ids)) == sum(sizes)
    assert booster.calls == [(in_loop, sum(sizes))]


def test_the_next_requests_are_read_while_a_thread_scores_and_small_ones_do_not_wait_for_it() -> None:
    let_go = threading.Event()

    class Slow(Booster):
        def __call__(self, matrix: np.ndarray[Any, Any]) -> list[float]:
            if len(matrix) > 1:
                assert let_go.wait(10)
            return super().__call__(matrix)

    async def load(batcher: Batcher) -> list[Scored]:
        def ask(number: int, rows: int) -> asyncio.Task[Scored]:
            matrix = np.full((rows, 2), number, np.float32)
            return asyncio.create_task(batcher.score(matrix, Sent("rows", b"{}")))

        waiting = [ask(number, ROWS_BESIDE_LOOP) for number in range(2 * BATCHES_IN_THREAD)]
        await asyncio.sleep(0)
        assert (await asyncio.wait_for(ask(7, 1), 10)).scores == [7.0]
        waiting += [ask(number, ROWS_BESIDE_LOOP) for number in range(4)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        let_go.set()
        return list(await asyncio.gather(*waiting))

    booster = Slow()
    answers = asyncio.run(load(Batcher(booster)))
    numbers = [*range(2 * BATCHES_IN_THREAD), *range(4)]
    assert [a.scores for a in answers] == [[float(n)] * ROWS_BESIDE_LOOP for n in numbers]
    batches = [(False, 2 * ROWS_BESIDE_LOOP)] * BATCHES_IN_THREAD
    assert booster.calls == [(True, 1), *batches, (False, 4 * ROWS_BESIDE_LOOP)]


def test_who_comes_alone_again_does_not_wait_and_who_comes_with_others_is_scored_with_them() -> None:
    booster = Booster()

    async def load(batcher: Batcher) -> None:
        async def ask(rows: int) -> bool:
            turned = list[bool]()
            asyncio.get_running_loop().call_soon(turned.append, True)
            await batcher.score(np.zeros((rows, 2), np.float32), Sent("rows", b"{}"))
            return bool(turned)

        assert await ask(1)
        await asyncio.sleep(0)
        assert not await ask(2)
        await asyncio.gather(*(ask(3) for _ in range(4)))
        await asyncio.gather(*(ask(4) for _ in range(4)))
        assert await ask(5)

    asyncio.run(load(Batcher(booster)))
    rows = [count for _, count in booster.calls]
    assert rows[:2] == [1, 2]
    assert rows[-2:] == [16, 5]


def test_an_alone_request_that_cannot_be_logged_is_refused(tmp_path: Path) -> None:
    class Full(SegmentWriter):
        def append(self, _: Any) -> None:
            raise OSError(28, "No space left on device")

    async def load(batcher: Batcher) -> None:
        for _ in range(3):
            with pytest.raises(Refused, match="log cannot be written"):
                await batcher.score(np.zeros((1, 2), np.float32), Sent("rows", b"{}"))
            await asyncio.sleep(0)

    asyncio.run(load(Batcher(Booster(), Full(tmp_path, {"identity": {}}))))


def test_a_segment_is_not_closed_while_a_thread_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "SEGMENT_SECONDS", 0.0)
    closed_while_writing, writing = list[bool](), threading.Event()

    class Watched(SegmentWriter):
        def append(self, records: Any) -> None:
            writing.set()
            threading.Event().wait(0.05)
            super().append(records)
            writing.clear()

        def close(self) -> threading.Thread | None:
            closed_while_writing.append(writing.is_set())
            return super().close()

    async def load(batcher: Batcher) -> int:
        matrix = np.zeros((100, 2), np.float32)
        for _ in range(6):
            await asyncio.gather(*(batcher.score(matrix, Sent("rows", b"{}")) for _ in range(2)))
        await asyncio.sleep(0.1)
        return 6 * 2

    writer = Watched(tmp_path, {"identity": {}})
    asked = asyncio.run(load(Batcher(Booster(), writer, log_to_disk=True)))
    thread = writer.close()
    if thread is not None:
        thread.join()
    assert closed_while_writing
    assert not any(closed_while_writing)
    found = [r for path in tmp_path.glob(f"*{segments.SUFFIX}") for r in read_segment(path.read_bytes())]
    assert sum("ids" in header for header, _ in found) == asked
