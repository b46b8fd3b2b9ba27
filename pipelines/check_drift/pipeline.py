"""Do the champion's predictions still look like its training? E.g. once a day."""

from kfp import dsl

from components.check_drift.component import check_drift
from pipelines.placement import placed

TIMEOUT_SECONDS = 3600
TRIES_AFTER_A_FAILURE = 2


@dsl.pipeline(
    name="lakeloop-check-drift",
    description="Logged predictions and what came true of them, by windows, against the champion's training.",
)
def drift(use_case: str, source: str = "auto", until: str = "now") -> None:
    """Submit with one use case, as one JSON string.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it; `drift` in it has the limits.
        source: `log`: the prediction log; `workbench`: model metrics of Cloudera AI, brought into the log first;
            `auto`: what the deployment has.
        until: windows that ended by then: `now`, or a moment in ISO 8601.
    """
    from kfp import kubernetes

    task = check_drift(
        pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, use_case=use_case, source=source, until=until
    )
    # The same question has another answer tomorrow.
    task.set_caching_options(enable_caching=False)
    task.set_retry(TRIES_AFTER_A_FAILURE, backoff_duration="5s", backoff_factor=2.0)
    kubernetes.set_timeout(placed(task), TIMEOUT_SECONDS)
