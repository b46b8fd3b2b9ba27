"""Write the batch to a branch, audit it, publish it; exactly once."""

import time

from components.ingest_batch import core
from lakeloop import bootstrap
from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.recording import record
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Leave what became of the batch; a refused one ends the step with exit code 2, after it was recorded."""
    batch = step.read("batch", Batch)
    progress(f"batch {batch.batch_id}: write, audit, publish" if batch.files else "no new batch")
    result = bootstrap.batch_publisher(step.settings, progress).publish(
        step.use_case, batch, step.pipeline_run_id
    )
    progress(core.told(result))
    _leave(step, result)
    if result.outcome == "refused":
        raise core.refusal_error(result)


def _leave(step: Step, result: IngestResult) -> None:
    step.write("outcome_path", result.outcome)
    step.write("ingest_path", result)
    step.publish(
        "ingest",
        {
            "outcome": result.outcome,
            "batch_id": result.batch_id or "",
            "table": result.table,
            "snapshot_id": result.snapshot_id or "",
            "rows": result.rows,
        },
    )
    journal, document = bootstrap.journal(step.settings), result.model_dump(mode="json")
    journal.record(step.pipeline_run_id, "ingest", document)
    if result.outcome == "refused":
        now_ms = time.time_ns() // 1_000_000
        by = step.settings.pipeline_run_by or step.pipeline_run_id
        event = core.refusal_event(step.use_case.name, result, step.pipeline_run_id, now_ms, by)
        record(bootstrap.ledger(step.settings), event)
        journal.record(step.pipeline_run_id, "refusal", document | {"step": "ingest_batch"})


if __name__ == "__main__":
    run_step("ingest_batch", ["batch", "outcome_path", "ingest_path"], body)
