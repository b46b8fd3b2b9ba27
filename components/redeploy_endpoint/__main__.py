"""Prove the version in a real server, shift traffic, verify who answers, promote; go back on any failure."""

from components.redeploy_endpoint import core
from lakeloop import bootstrap
from lakeloop.claiming import Claimant, now_ms
from lakeloop.domain.ledger import EventKind
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.training import TrainedModel
from lakeloop.recording import record
from lakeloop.rollout.events import trained_event
from lakeloop.rollout.redeploy import Places, redeploy
from lakeloop.rollout.rolling_out import RolloutFailedError
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.runtime.claimant import claimant_of, recorded_by
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Roll the registered version out and leave the evidence; promotes only while its run holds the use case."""
    trained, registration = step.read("training", TrainedModel), step.read("registration", Registration)
    range_, claimant = trained.lineage.training_set.range, claimant_of(step)
    with claimant.holding(range_, "redeploying"):
        rollout = _roll_out(step, trained, registration, claimant)
        _tell(step, trained, rollout, "promoted", f"version {rollout.version} is verified live")
    step.write("endpoint_url_path", rollout.url)
    step.write("rollout_path", rollout)
    step.publish("rollout", core.metadata(rollout, trained))
    progress(f"version {rollout.version} answers at {rollout.url}")


def _roll_out(step: Step, trained: TrainedModel, registration: Registration, claimant: Claimant) -> Rollout:
    registry = bootstrap.model_registry(step.settings)
    core.check_turn(registry.champion(registration.model_name), registration)
    places = Places(
        bootstrap.lake(step.settings),
        registry,
        bootstrap.deployer(step.settings, step.use_case, progress),
    )
    range_ = trained.lineage.training_set.range
    try:
        return redeploy(
            places,
            step.use_case,
            trained,
            registration,
            check_turn=lambda: claimant.claim(range_, "promoting"),
            tell=progress,
        )
    except RolloutFailedError as error:
        _tell(step, trained, error.rollout, "rollout_failed", str(error))
        raise


def _tell(step: Step, trained: TrainedModel, rollout: Rollout, kind: EventKind, reason: str) -> None:
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "rollout", rollout.model_dump(mode="json"))
    event = trained_event(
        kind,
        trained,
        rollout,
        reason=reason,
        owner=step.pipeline_run_id,
        by=recorded_by(step.settings),
        at_ms=now_ms(),
    )
    # What a lost claim must not do is move the watermark; a failure may always be told.
    still_valid = claimant_of(step).holds if kind == "promoted" else None
    record(bootstrap.ledger(step.settings), event, still_valid=still_valid)


if __name__ == "__main__":
    run_step("redeploy_endpoint", ["training", "registration", "endpoint_url_path", "rollout_path"], body)
