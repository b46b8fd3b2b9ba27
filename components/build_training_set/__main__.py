"""Plan the snapshot range since the watermark, and compute its features into the feature table."""

from components.build_training_set import core
from lakeloop import bootstrap
from lakeloop.claiming import now_ms
from lakeloop.domain.errors import RefusedError, UserError
from lakeloop.domain.ledger import watermark
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.pinning import pin_plan, pin_training_set, unpin_training
from lakeloop.planning import plan_use_case
from lakeloop.recording import record
from lakeloop.runtime.claimant import claimant_of, recorded_by
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Leave plan and training set; a refused plan ends the step with exit code 4, after it was recorded.

    Before anything is read, the range is claimed on the plan's own watermark: one training at a time; and its snapshots
    are pinned, so that none expires before the outcome.
    """
    lake, ledger = bootstrap.lake(step.settings), bootstrap.ledger(step.settings)
    progress("planning from snapshot metadata")
    plan = plan_use_case(lake, ledger, step.use_case)
    progress(core.told(plan, None))
    step.write("plan_path", plan)
    step.publish("plan", {"action": plan.action, "reasons": "; ".join(plan.reasons)})
    journal = bootstrap.journal(step.settings)
    journal.record(step.pipeline_run_id, "plan", plan.model_dump(mode="json"))
    if plan.action == "refuse":
        _refuse(step, plan)
    step.write("action_path", core.action(plan))
    if plan.action == "nothing":
        step.write("training_set_path", "{}")
        return
    with claimant_of(step).holding(
        plan.range,
        core.told(plan, None),
        document=plan.model_dump_json(),
        still=lambda events: watermark(events) == plan.watermark,
    ):
        training_set = _build(step, plan)
    progress(core.told(plan, training_set))
    _leave(step, training_set)


def _build(step: Step, plan: Plan) -> TrainingSet:
    """The training set, its snapshots pinned; rows that cannot make one are a refusal on the record."""
    lake = bootstrap.lake(step.settings)
    pin_plan(lake, step.use_case.name, step.pipeline_run_id, plan)
    try:
        training_set = bootstrap.feature_builder(step.settings, progress).build(step.use_case, plan)
    except (UserError, RefusedError) as error:
        unpin_training(lake, step.use_case.name, step.pipeline_run_id, step.use_case.table.name)
        _record_refusal(step, plan, str(error))
        raise
    pin_training_set(lake, step.pipeline_run_id, training_set)
    return training_set


def _leave(step: Step, training_set: TrainingSet) -> None:
    step.write("training_set_path", training_set)
    step.publish(
        "training_set",
        {
            "table": training_set.range.table,
            "from_snapshot_id": training_set.range.from_snapshot_id or "",
            "to_snapshot_id": training_set.range.to_snapshot_id,
            "feature_table": training_set.feature_table,
            "feature_snapshot_id": training_set.feature_snapshot_id,
            "rows": training_set.rows,
        },
    )
    document = training_set.model_dump(mode="json")
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "training_set", document)


def _record_refusal(step: Step, plan: Plan, reason: str) -> None:
    by = recorded_by(step.settings)
    event = core.refusal_event(step.use_case.name, plan, step.pipeline_run_id, now_ms(), by, reason)
    record(bootstrap.ledger(step.settings), event)


def _refuse(step: Step, plan: Plan) -> None:
    _record_refusal(step, plan, "; ".join(plan.reasons))
    document = plan.model_dump(mode="json") | {"step": "build_training_set"}
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "refusal", document)
    raise core.refusal_error(step.use_case.name, step.use_case.table.name, plan)


if __name__ == "__main__":
    run_step("build_training_set", ["ingest", "action_path", "plan_path", "training_set_path"], body)
