"""What becomes of builds, deployments and registered versions as time passes: functions of their age.

A fate is what an object was destined to at its creation; ages are seconds of the workbench.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Durations:
    """Of the platform's work, as others have measured it."""

    build: float = 120.0
    deployment: float = 120.0
    registration: float = 10.0
    job_start: float = 20.0


def build_status(fate: str, age: float, durations: Durations) -> str:
    """Queued, building, pushing, built; or what it is destined to."""
    share = age / durations.build
    for limit, status in ((0.1, "pending"), (0.2, "queued"), (0.7, "building")):
        if share < limit:
            return status
    if fate in {"hang", "unknown hang"}:
        return "pushing" if fate == "hang" else "quarantined for inspection"
    if share < 1:
        return "unknown-to-everybody" if fate == "unknown" else "pushing"
    return fate if fate in {"build failed", "timedout", "succeeded"} else "built"


def deployment_status(fate: str, age: float, durations: Durations) -> str:
    """Pending, deploying, deployed; or what it is destined to."""
    share = age / durations.deployment
    if share < 0.1:
        return "pending"
    if fate == "hang":
        return "deploying"
    if share < 1:
        return "warming up" if fate == "unknown" else "deploying"
    return "failed" if fate == "failed" else "deployed"


def version_status(fate: str, age: float, durations: Durations) -> str:
    """Of a registered model version."""
    if age < durations.registration or fate == "hang":
        return "PENDING_REGISTRATION"
    return "failed" if fate == "failed" else "READY"
