"""What a plan means for the rest of the run."""

from __future__ import annotations

from lakeloop.domain.errors import RefusedError
from lakeloop.domain.ledger import LedgerEvent, event_id
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan


def action(plan: Plan) -> str:
    """The step's parameter: `train`, or `nothing`."""
    return "nothing" if plan.action == "nothing" else "train"


def told(plan: Plan, training_set: TrainingSet | None) -> str:
    """Plan and result in one line."""
    reasons = "; ".join(plan.reasons)
    if training_set is None:
        return f"{plan.action}: {reasons}"
    ranges = len(training_set.range_ids)
    return (
        f"{training_set.rows} labelled rows of {ranges} range{'s' * (ranges > 1)} ({plan.action}: {reasons})"
    )


def refusal_event(  # noqa: PLR0913, PLR0917 - one field each
    use_case: str, plan: Plan, pipeline_run_id: str, at_ms: int, by: str, reason: str
) -> LedgerEvent:
    """The ledger's line about a refused range; it consumes nothing, a retry makes the same one."""
    subject = plan.range.model_dump_json() if plan.range else plan.model_dump_json()
    return LedgerEvent(
        event_id=event_id(subject, "refused", pipeline_run_id),
        use_case=use_case,
        kind="refused",
        at_ms=at_ms,
        by=by,
        reason=reason,
        pipeline_run_id=pipeline_run_id,
        range=plan.range,
        schema_id=plan.schema_id,
        document=plan.model_dump_json(),
    )


def refusal_error(use_case: str, table: str, plan: Plan) -> RefusedError:
    """What the step ends with when training on this range could be silently wrong."""
    return RefusedError(
        f"refused to train: {'; '.join(plan.reasons)}",
        where=table,
        fix=f"look with `lakeloop plan {use_case}`, then choose under `snapshots` in the use case",
    )
