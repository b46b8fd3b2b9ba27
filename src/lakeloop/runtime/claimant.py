"""Who acts, as the ledger names them, and how they claim a use case."""

from __future__ import annotations

import getpass
import socket

from lakeloop import bootstrap
from lakeloop.claiming import Claimant
from lakeloop.runtime.step import Step, progress
from lakeloop.settings import Settings


def recorded_by(settings: Settings) -> str:
    """The person that a cluster's run names, else user@host."""
    return settings.pipeline_run_by or f"{getpass.getuser()}@{socket.gethostname()}"


def claimant_of(step: Step) -> Claimant:
    """The step's pipeline run; on this machine, a run that died is known without waiting for its lease."""
    return Claimant(
        ledger=bootstrap.ledger(step.settings),
        use_case=step.use_case.name,
        owner=step.pipeline_run_id,
        by=recorded_by(step.settings),
        lease_seconds=step.settings.claim_lease_seconds,
        skew_seconds=step.settings.clock_skew_seconds,
        ended=bootstrap.run_ended(step.settings),
        tell=progress,
    )
