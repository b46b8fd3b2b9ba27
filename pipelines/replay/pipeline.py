"""Rebuild a model version from its lineage, and prove it identical or say what differs."""

from kfp import dsl

from components.replay_version.component import replay_version
from pipelines.placement import placed

TIMEOUT_SECONDS = 43_200


@dsl.pipeline(
    name="lakeloop-replay",
    description="A model version a second time, from its lineage: the same, or why not.",
)
def replay(use_case: str, version: str, source: str = "source") -> None:
    """Submit with one use case, as one JSON string; nothing is registered, promoted or published.

    Args:
        use_case: the use case, as `lakeloop validate --json` prints it; it names the model.
        version: of the model, e.g. `3`.
        source: `source` computes the features again from the source snapshots; `features` takes them from the
            feature table's pinned snapshot.
    """
    from kfp import kubernetes

    task = replay_version(
        pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, use_case=use_case, version=version, source=source
    )
    # A difference is an answer, not an accident: trying again would only repeat it.
    task.set_caching_options(enable_caching=False)
    kubernetes.set_timeout(placed(task), TIMEOUT_SECONDS)
