"""Requests that come together are scored together, each with its own answer, beside the loop where they are many."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakeloop.serving.prediction_log import segments
from lakeloop.serving.prediction_log.segments import SegmentWriter, read_segment
from lakeloop.serving.predictor import batching
from lakeloop.serving.predictor.batching import ROWS_BESIDE_LOOP, Batcher, Scored, Sent


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
    asked = asyncio.run(load(Batcher(Booster(), writer)))
    thread = writer.close()
    if thread is not None:
        thread.join()
    assert closed_while_writing
    assert not any(closed_while_writing)
    found = [r for path in tmp_path.glob(f"*{segments.SUFFIX}") for r in read_segment(path.read_bytes())]
    assert sum("ids" in header for header, _ in found) == asked
