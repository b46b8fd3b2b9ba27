"""When a workload counts as ready, and what is told of pods that do not come."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.cluster.readiness import pod_reasons, unready


def workload(kind: str, spec: dict[str, Any], status: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x", "generation": generation}, "spec": spec, "status": status}


UP = {"observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("one", "ready"),
    [
        (workload("Deployment", {"replicas": 2}, UP), True),
        (workload("Deployment", {"replicas": 2}, UP | {"readyReplicas": 1}), False),
        (workload("Deployment", {"replicas": 2}, UP | {"updatedReplicas": 1}), False),
        (workload("Deployment", {"replicas": 2}, UP, generation=2), False),
        (workload("Deployment", {"replicas": 0}, {"observedGeneration": 1}), True),
        (workload("StatefulSet", {}, {}), False),
        (workload("Job", {}, {"succeeded": 1}), True),
        (workload("Job", {}, {"active": 1}), False),
    ],
)
def test_ready_is_what_was_declared_last(one: dict[str, Any], ready: bool) -> None:
    assert unready([one]) == ([] if ready else [f"{one['kind'].lower()} x"])


def test_a_pod_that_does_not_come_says_why() -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    creating = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}
    pods = [
        {"metadata": {"name": "a"}, "status": {"containerStatuses": [waiting]}},
        {"metadata": {"name": "b"}, "status": {"containerStatuses": [creating]}},
        {"metadata": {"name": "c"}, "status": {"conditions": [unscheduled]}},
    ]
    assert list(pod_reasons(pods)) == ["pod a: ErrImagePull not found", "pod c: Insufficient cpu"]
