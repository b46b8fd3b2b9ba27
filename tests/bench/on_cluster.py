"""`make bench-cluster`: a first and a second retrain on the cluster; the second's end-to-end time, and where it goes.

A step counts from the start of its container to its end, steps that overlap once. The rest of the run's time is
Kubeflow Pipelines bringing up pods: a driver and an executor for each step, a driver for each condition.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Interval = tuple[float, float]
"""Start and end, seconds since the epoch."""


@dataclass(frozen=True)
class Spent:
    """Seconds of one run."""

    total: float
    in_steps: float
    by_step: dict[str, float]
    pods: int

    @property
    def pods_share(self) -> float:
        """Of the total, during which no step's container ran."""
        return 1 - self.in_steps / self.total


def covered_seconds(intervals: Iterable[Interval]) -> float:
    """Length of the union of intervals."""
    covered, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def spent(pods: Sequence[dict[str, Any]]) -> Spent:
    """What a run's pods say, as the API server gives them; all have ended.

    Its total is from the creation of its first pod to the end of its last.
    """
    steps = [(name, _ran(pod, "main")) for pod in pods if (name := _step(pod))]
    began = min(_seconds(pod["metadata"]["creationTimestamp"]) for pod in pods)
    ended = max(_ran(pod, one["name"])[1] for pod in pods for one in pod["status"]["containerStatuses"])
    by_step = dict.fromkeys((name for name, _ in sorted(steps, key=lambda step: step[1])), 0.0)
    for name, (start, end) in steps:  # each of its attempts
        by_step[name] += end - start
    return Spent(ended - began, covered_seconds(ran for _, ran in steps), by_step, len(pods))


def _step(pod: dict[str, Any]) -> str:
    """`train-model` of node `retrain-x.root.train-model.executor`; empty for KFP's own pods."""
    path = pod["metadata"].get("annotations", {}).get("workflows.argoproj.io/node-name", "").split(".")
    return path[-2] if len(path) > 1 and path[-1].startswith("executor") else ""


def _ran(pod: dict[str, Any], container: str) -> Interval:
    (status,) = [one for one in pod["status"]["containerStatuses"] if one["name"] == container]
    ended = status["state"]["terminated"]
    return _seconds(ended["startedAt"]), _seconds(ended["finishedAt"])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    """Needs the cluster of `make kind-up`."""
    from scripts.cluster.bring_up import programs_of

    os.environ.update(programs_of(os.environ.get("CLUSTER", "lakeloop")).environment)
    from tests.e2e.loop_place import loop_place
    from tests.e2e.spark_place import kubectl

    with (
        tempfile.TemporaryDirectory(prefix="lakeloop-bench-cluster-") as folder,
        loop_place(Path(folder)) as loop,
    ):
        for order in ("first", "second"):
            ended = loop.submit()
            if ended.exit_code:
                sys.exit(f"the {order} retrain left with {ended.exit_code}: {ended.said}")
            selector = f"pipeline/runid={ended.run_id}"
            pods = json.loads(kubectl("-n", "kubeflow", "get", "pods", "-l", selector, "-o", "json"))["items"]
            tell(order, spent(pods))


def tell(order: str, run: Spent) -> None:
    """The figures of a run."""
    print(
        f"{order} retrain: {run.total:.0f} s end to end, {run.in_steps:.0f} s of them inside steps; "
        f"{run.pods_share:.0%} is Kubeflow Pipelines starting {run.pods} pods"
    )
    for name, seconds in run.by_step.items():
        print(f"  {name:<20} {seconds:4.0f} s")


if __name__ == "__main__":
    main()
