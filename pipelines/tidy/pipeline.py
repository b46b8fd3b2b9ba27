"""Tidy up after dead attempts at a use case, e.g. once a night."""

from kfp import dsl

from components.tidy_tables.component import tidy_tables
from pipelines.placement import placed

TIMEOUT_SECONDS = 3600


@dsl.pipeline(
    name="lakeloop-tidy",
    description="Removes branches, staged snapshots, orphan files and landed batches that dead attempts left.",
)
def tidy(use_case: str, older_than: str = "1d", mode: str = "remove") -> None:
    """Submit with one use case, as one JSON string.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it.
        older_than: nothing younger is touched: 90s, 30m, 12h, 7d.
        mode: `remove`, or `show` for what would go.
    """
    from kfp import kubernetes

    task = tidy_tables(
        pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, use_case=use_case, older_than=older_than, mode=mode
    )
    # The same question has another answer tomorrow.
    task.set_caching_options(enable_caching=False)
    kubernetes.set_timeout(placed(task), TIMEOUT_SECONDS)
