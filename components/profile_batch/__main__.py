"""Describe the batch for the report: rows, nulls, quantiles, label rate."""

from components.profile_batch import core
from lakeloop import bootstrap
from lakeloop.domain.batch import Batch
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Look at the batch's files, if it has any."""
    batch = step.read("batch", Batch)
    progress(f"looking at {len(batch.files)} files")
    found = (
        bootstrap.batch_profiler().profile(step.use_case, batch) if batch.files else core.without_files(batch)
    )
    step.write("profile_path", found)
    step.publish("profile", {"rows": found.rows, "label_rate": found.label_rate or 0.0})
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "profile", found.model_dump(mode="json"))
    progress(found.note or f"{found.rows} rows, {found.label_rate or 0.0:.2%} positive")


if __name__ == "__main__":
    run_step("profile_batch", ["batch", "profile_path"], body)
