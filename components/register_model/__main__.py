"""Register the model once a run key, and pin the snapshots that it was made of."""

from components.register_model.core import main_pins
from lakeloop import bootstrap
from lakeloop.domain.pins import pins
from lakeloop.domain.rollout import Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Verdict
from lakeloop.pinning import unpin_training
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Leave the registration; a retry finds the version and the pins that are there."""
    trained, verdict = step.read("training", TrainedModel), step.read("verdict", Verdict)
    registered = bootstrap.model_registry(step.settings).register(step.use_case.name, trained, verdict)
    progress(f"{registered.model_name} version {registered.version}: pinning its snapshots")
    lake = bootstrap.lake(step.settings)
    training_set = trained.lineage.training_set
    state = lake.table_state(training_set.range.table)
    retained = {snapshot.snapshot_id for snapshot in state.snapshots} if state else set()
    made = pins(registered.model_name, registered.version, training_set, retained)
    for pin in made:
        lake.pin(pin.table, pin.tag, pin.snapshot_id)
    # The version's own pins hold all of it.
    tables = training_set.range.table, training_set.feature_table
    unpin_training(lake, training_set.use_case, step.pipeline_run_id, *tables)
    registration = registered.model_copy(update={"pins": main_pins(made)})
    _leave(step, trained, registration)


def _leave(step: Step, trained: TrainedModel, registration: Registration) -> None:
    step.write("registration_path", registration)
    step.publish(
        "registration",
        {
            "model_name": registration.model_name,
            "version": registration.version,
            "model_uri": registration.model_uri,
            "model_digest": registration.model_digest,
            "run_key": trained.lineage.run_key,
        },
    )
    bootstrap.journal(step.settings).record(
        step.pipeline_run_id, "registration", registration.model_dump(mode="json")
    )


if __name__ == "__main__":
    run_step("register_model", ["training", "verdict", "registration_path"], body)
