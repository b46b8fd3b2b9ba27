"""KFP specification of publish_features: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def publish_features(
    pipeline_run_id: str,
    use_case: str,
    published: dsl.Output[dsl.Artifact],
    optional: str = "no",
) -> dsl.ContainerSpec:
    """Bring the newest features of each entity into the online store, with the snapshot that they come from.

    With `optional` yes, a use case that names no entity has nothing to publish; with no, it is refused.
    """
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.publish_features"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--optional",
            optional,
            "--published-path",
            published.path,
            "--executor-input",
            "{{$}}",
        ],
    )
