"""A use case that an ended run still holds is freed by who knows that it has ended; no other is."""

import pytest

from lakeloop.adapters.memory.ledger import MemoryLedger
from lakeloop.adapters.memory.pipelines import MemoryPipelines
from lakeloop.claiming import Claimant
from lakeloop.domain.claims import current_claim
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.remote_run import Submission
from lakeloop.runners.cluster.ended_claims import free_of_ended


def claimant(ledger: MemoryLedger, owner: str) -> Claimant:
    return Claimant(ledger=ledger, use_case="fraud", owner=owner, by="me", lease_seconds=3600)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def service() -> MemoryPipelines:
    return MemoryPipelines()


def started(service: MemoryPipelines) -> str:
    return service.start(Submission(name="fraud-retrain-1", experiment="e", pipeline="retrain", arguments={}))


def test_the_next_run_need_not_wait_for_the_lease_of_a_terminated_one(
    ledger: MemoryLedger, service: MemoryPipelines
) -> None:
    run_id = started(service)
    claimant(ledger, run_id).claim(None, "training")
    with pytest.raises(ConflictError):
        claimant(ledger, "next").claim(None, "training")
    service.terminate(run_id)
    assert free_of_ended(ledger, service, "fraud", "me") == run_id
    claimant(ledger, "next").claim(None, "training")
    assert [event.kind for event in ledger.events("fraud")] == ["claimed", "released", "claimed"]


def test_a_run_that_goes_on_and_a_run_of_another_place_keep_what_they_hold(
    ledger: MemoryLedger, service: MemoryPipelines
) -> None:
    assert free_of_ended(ledger, service, "fraud", "me") is None
    run_id = started(service)
    claimant(ledger, run_id).claim(None, "training")
    assert free_of_ended(ledger, service, "fraud", "me") is None
    assert claimant(ledger, run_id).release("done")
    claimant(ledger, "on-somebodys-laptop").claim(None, "training")
    assert free_of_ended(ledger, service, "fraud", "me") is None
    claim = current_claim(ledger.events("fraud"))
    assert claim is not None
    assert claim.owner == "on-somebodys-laptop"
