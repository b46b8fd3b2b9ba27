"""A run that was ended from outside holds its use case until the lease is over, unless somebody who knows frees it."""

from __future__ import annotations

from lakeloop.claiming import Claimant
from lakeloop.domain.claims import current_claim
from lakeloop.domain.errors import ServiceAwayError, UserError
from lakeloop.ports.ledger import Ledger
from lakeloop.ports.pipelines import PipelineService


def free_of_ended(ledger: Ledger, service: PipelineService, use_case: str, by: str) -> str | None:
    """Release the use case where the service knows that the run which holds it has ended.

    A step of that run that has not heard of its end yet cannot promote any more: whoever claims next is before it.

    Returns:
        That run's id; None where nothing was to be freed.
    """
    claim = current_claim(ledger.events(use_case, documents=False))
    if claim is None or not _has_ended(service, claim.owner):
        return None
    holder = Claimant(ledger=ledger, use_case=use_case, owner=claim.owner, by=by, lease_seconds=1)
    return claim.owner if holder.release("its run had ended without an outcome") else None


def _has_ended(service: PipelineService, owner: str) -> bool:
    """False also where the service does not know such a run: it may be a run of another place."""
    try:
        return service.look(owner).ended
    except (UserError, ServiceAwayError):
        return False
