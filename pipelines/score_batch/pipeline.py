"""The champion's scores of a table, or of the rows that a range added, as an Iceberg table."""

from kfp import dsl

from components.score_batch.component import score_batch
from pipelines.placement import placed

TIMEOUT_SECONDS = 43_200
TRIES_AFTER_A_FAILURE = 2


@dsl.pipeline(
    name="lakeloop-score-batch",
    description="A table scored by the champion: each row once, an interrupted run goes on where it was.",
)
def score(use_case: str, table: str = "", from_snapshot_id: str = "", to_snapshot_id: str = "") -> None:
    """Submit with one use case, as one JSON string.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it; its champion scores.
        table: with the use case's columns; empty: the use case's own table.
        from_snapshot_id: only rows added after this snapshot; empty: all rows.
        to_snapshot_id: up to this snapshot; empty: the newest.
    """
    from kfp import kubernetes

    task = score_batch(
        pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        use_case=use_case,
        table=table,
        from_snapshot_id=from_snapshot_id,
        to_snapshot_id=to_snapshot_id,
    )
    task.set_caching_options(enable_caching=False)
    task.set_retry(TRIES_AFTER_A_FAILURE, backoff_duration="5s", backoff_factor=2.0)
    kubernetes.set_timeout(placed(task), TIMEOUT_SECONDS)
