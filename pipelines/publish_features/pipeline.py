"""Bring the newest features of each entity into the online store: after a retrain, or on a schedule."""

from kfp import dsl

from components.publish_features.component import publish_features
from pipelines.placement import placed

TIMEOUT_SECONDS = 7200
TRIES_AFTER_A_FAILURE = 1


@dsl.pipeline(
    name="lakeloop-publish-features",
    description="The newest features of each entity, looked up by id: whole versions, from one snapshot each.",
)
def publish(use_case: str) -> None:
    """Submit with one use case, as one JSON string; the same features again change nothing.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it; `online.entity` says whose features.
    """
    from kfp import kubernetes

    task = publish_features(pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, use_case=use_case)
    task.set_caching_options(enable_caching=False)
    task.set_retry(TRIES_AFTER_A_FAILURE, backoff_duration="5s", backoff_factor=2.0)
    kubernetes.set_timeout(placed(task), TIMEOUT_SECONDS)
