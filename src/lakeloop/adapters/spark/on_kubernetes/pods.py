"""Executor pods as values, read from the API's own JSON (core/v1 Pod)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

OOM_KILLED, JAVA_OUT_OF_MEMORY_EXIT = "OOMKilled", 52  # the second: `SparkExitCode.OOM`
Phase = Literal["pending", "running", "succeeded", "failed", "deleting"]


@dataclass(frozen=True)
class ExecutorPod:
    """What an executor pod says of itself.

    Args:
        name: of the pod.
        phase: Kubernetes' phase, or "deleting" once somebody asked for its deletion.
        reason: why it waits or ended, in Kubernetes' word: `ErrImagePull`, `Unschedulable`, `OOMKilled`, `Evicted`...
        message: the sentence with the reason: the scheduler's, the kubelet's.
        exit_code: of the container, once it ended.
        memory_limit: as declared, e.g. `1434Mi`.
    """

    name: str
    phase: Phase
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    memory_limit: str = ""

    @property
    def ended(self) -> bool:
        """Whether its process is over."""
        return self.phase in {"succeeded", "failed"}


def executor_pod(document: Mapping[str, Any]) -> ExecutorPod:
    """A pod document -> what matters of it."""
    status, metadata = document.get("status") or {}, document.get("metadata") or {}
    containers = (document.get("spec") or {}).get("containers") or [{}]
    limit = ((containers[0].get("resources") or {}).get("limits") or {}).get("memory", "")
    state = _container_state(status)
    ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
    blocked = waiting if waiting.get("reason") not in {None, "ContainerCreating"} else _unscheduled(status)
    told = ended or blocked or status
    return ExecutorPod(
        name=metadata.get("name", ""),
        phase=_phase(status, metadata, ended),
        reason=str(told.get("reason") or ""),
        message=" ".join(str(told.get("message") or "").split()),
        exit_code=ended.get("exitCode"),
        memory_limit=str(limit),
    )


def _container_state(status: Mapping[str, Any]) -> Mapping[str, Any]:
    statuses = status.get("containerStatuses") or [{}]
    return statuses[0].get("state") or {}


def _unscheduled(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scheduler's condition, while it found no node."""
    conditions = status.get("conditions") or []
    return next((c for c in conditions if c.get("type") == "PodScheduled" and c.get("status") == "False"), {})


def _phase(status: Mapping[str, Any], metadata: Mapping[str, Any], ended: Mapping[str, Any]) -> Phase:
    phase = str(status.get("phase") or "Pending").lower()
    if phase == "succeeded" or (ended and ended.get("exitCode") == 0):
        return "succeeded"
    if phase == "failed" or ended:
        return "failed"
    if metadata.get("deletionTimestamp"):
        return "deleting"
    return "running" if phase == "running" else "pending"
