"""Land a batch and do no more: for tables that other pipelines, or a trigger, train on later."""

from kfp import dsl

from components.generate_batch.component import generate_batch
from components.ingest_batch.component import ingest_batch
from components.profile_batch.component import profile_batch
from components.report_run.component import report_run
from pipelines.placement import placed

TRIES_AFTER_A_FAILURE = 1


def _step(task: dsl.PipelineTask, timeout_seconds: int) -> dsl.PipelineTask:
    """Effects are made once by the step itself, so nothing is cached; each attempt has its time limit."""
    from kfp import kubernetes

    task.set_caching_options(enable_caching=False)
    task.set_retry(TRIES_AFTER_A_FAILURE, backoff_duration="5s", backoff_factor=2.0)
    return kubernetes.set_timeout(placed(task), timeout_seconds)


@dsl.pipeline(
    name="lakeloop-ingest",
    description="From a new batch to rows that everybody may see, or a recorded refusal.",
)
def ingest(use_case: str, batch_options: str = "{}") -> None:
    """Submit with one use case, as one JSON string.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it.
        batch_options: JSON of BatchOptions: rows, number, plants; `{}` for the next batch as declared.
    """
    run = {"pipeline_run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "use_case": use_case}
    report = _step(report_run(**run), timeout_seconds=600)
    with dsl.ExitHandler(report, name="reported"):
        batch = _step(generate_batch(**run, batch_options=batch_options), timeout_seconds=7200)
        _step(profile_batch(**run, batch=batch.outputs["batch"]), timeout_seconds=1800)
        _step(ingest_batch(**run, batch=batch.outputs["batch"]), timeout_seconds=14400)
