"""KFP specification of build_training_set: signature and command line, nothing else."""

from kfp import dsl

from components.images import SPARK


@dsl.container_component
def build_training_set(
    pipeline_run_id: str,
    use_case: str,
    ingest: dsl.Input[dsl.Artifact],
    action: dsl.OutputPath(str),  # type: ignore[valid-type]
    plan: dsl.Output[dsl.Artifact],
    training_set: dsl.Output[dsl.Dataset],
) -> dsl.ContainerSpec:
    """Plan the snapshot range since the watermark, and compute its features into the feature table."""
    return dsl.ContainerSpec(
        image=SPARK,
        command=["python", "-m", "components.build_training_set"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--ingest",
            ingest.path,
            "--action-path",
            action,
            "--plan-path",
            plan.path,
            "--training-set-path",
            training_set.path,
            "--executor-input",
            "{{$}}",
        ],
    )
