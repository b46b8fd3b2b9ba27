"""Statuses as the Kubernetes API gives them -> the reason in one line."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.adapters.kserve import failures
from lakeloop.adapters.kserve.failures import Finding

NOT_READY = {"type": "Ready", "status": "False"}


def pod(*, conditions: Any = (NOT_READY,), container: Any = None, phase: str = "Pending") -> dict[str, Any]:
    statuses = (
        [{"name": "kserve-container", "image": "x:1", "restartCount": 0, **container}] if container else []
    )
    return {
        "metadata": {"name": "m-1"},
        "status": {"phase": phase, "conditions": list(conditions), "containerStatuses": statuses},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return pod(container={"state": {"waiting": {"reason": reason, "message": message}}, **more})


def found(pod_: dict[str, Any]) -> Finding:
    finding = failures.pod_finding(pod_)
    assert finding is not None
    return finding


@pytest.mark.parametrize(
    ("status", "kind", "final", "told"),
    [
        (waiting("ErrImagePull", "failed to resolve"), "image", False, "image x:1 cannot be pulled"),
        (waiting("ImagePullBackOff", "Back-off\npulling"), "image", True, "Back-off pulling"),
        (waiting("InvalidImageName", "bad"), "image", True, "InvalidImageName"),
        (
            waiting("CreateContainerConfigError", 'secret "s" not found'),
            "configuration",
            False,
            'secret "s" not found',
        ),
        (waiting("RunContainerError", 'exec: "python": not found'), "configuration", True, "python"),
        (
            waiting(
                "CrashLoopBackOff",
                restartCount=2,
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "memory",
            True,
            "out of memory",
        ),
        (
            waiting(
                "CrashLoopBackOff",
                restartCount=2,
                lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
            ),
            "crash",
            True,
            "exit code 1, started 3 times",
        ),
        (pod(container={"state": {"terminated": {"exitCode": 3}}}), "crash", False, "exit code 3"),
        (
            pod(
                conditions=[
                    NOT_READY,
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient memory.",
                    },
                ]
            ),
            "unschedulable",
            False,
            "0/1 nodes are available: 1 Insufficient memory.",
        ),
        (
            {
                **pod(phase="Failed"),
                "status": {"phase": "Failed", "reason": "Evicted", "message": "low on disk"},
            },
            "crash",
            True,
            "low on disk",
        ),
        (pod(container={"state": {"running": {}}}), "starting", False, "not ready yet"),
        (pod(), "starting", False, "not ready yet"),
    ],
)
def test_the_reason_is_told(status: dict[str, Any], kind: str, final: bool, told: str) -> None:
    finding = found(status)
    assert (finding.kind, finding.final) == (kind, final)
    assert told in finding.text
    assert "\n" not in finding.text
    assert failures.advice(finding)


def test_a_ready_pod_is_no_problem_and_the_surest_of_several_comes_first() -> None:
    assert failures.pod_finding(pod(conditions=[{"type": "Ready", "status": "True"}])) is None
    several = [pod(), waiting("ErrImagePull"), waiting("ImagePullBackOff")]
    assert [f.final for f in failures.findings(several)] == [True, False, False]
    assert failures.findings([]) == []


def test_a_crash_is_told_with_the_end_of_the_log_of_the_container_that_ended() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    backing_off = found(waiting("CrashLoopBackOff", restartCount=1, lastState=ended))
    running = found(pod(container={"state": {"running": {}}, "restartCount": 1, "lastState": ended}))
    assert (backing_off.previous_log, running.previous_log) == (False, True)
    log = "line 1\n\nline 2\nline 3\nline 4\n"
    assert failures.with_log(backing_off, log).text.endswith("its log ends: line 2 | line 3 | line 4")
    log = "a\nerror: features amount: no column nope\nCandidates:\n  age\n  ^^^\n"
    assert failures.with_log(backing_off, log).text.endswith(
        "its log ends: error: features amount: no column nope | Candidates: | age | ^^^"
    )
    assert failures.with_log(backing_off, " \n") == backing_off


def test_what_keeps_a_deployment_from_having_pods_is_told() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": 'exceeded quota: "pods"'}
    finding = failures.deployment_finding({"status": {"conditions": [refused]}})
    assert finding is not None
    assert 'exceeded quota: "pods"' in finding.text
    assert failures.deployment_finding({"status": {}}) is None
    assert failures.deployment_finding(None) is None
