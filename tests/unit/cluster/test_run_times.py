"""Where a run's time goes, by its pods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.on_cluster import covered_seconds, spent


def pod(node: str, created: int, main: tuple[int, int], wait_until: int) -> dict[str, Any]:
    def status(name: str, start: int, end: int) -> dict[str, Any]:
        return {"name": name, "state": {"terminated": {"startedAt": at(start), "finishedAt": at(end)}}}

    return {
        "metadata": {
            "creationTimestamp": at(created),
            "annotations": {"workflows.argoproj.io/node-name": f"run-x.root.{node}"},
        },
        "status": {"containerStatuses": [status("main", *main), status("wait", main[0], wait_until)]},
    }


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"


def test_a_runs_time_is_split_into_steps_and_the_rest() -> None:
    run = spent(
        [
            pod("ingest-batch-driver", 0, (5, 6), 8),
            pod("ingest-batch.executor", 10, (20, 60), 62),
            pod("profile-batch.executor", 10, (50, 70), 72),
            pod("train-model.executor(0)", 72, (74, 76), 80),
            pod("train-model.executor(1)", 80, (90, 98), 100),
        ]
    )
    assert (run.total, run.in_steps, run.pods) == (100, 60, 5)
    assert run.by_step == {"ingest-batch": 40, "profile-batch": 20, "train-model": 10}
    assert run.pods_share == pytest.approx(0.4)


INTERVALS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda t: (t[0], t[0] + t[1])))


@given(INTERVALS)
def test_overlapping_seconds_count_once(intervals: list[tuple[int, int]]) -> None:
    seconds = {second for start, end in intervals for second in range(start, end)}
    assert covered_seconds(intervals) == len(seconds)
