"""KFP specification of profile_batch: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def profile_batch(
    pipeline_run_id: str,
    use_case: str,
    batch: dsl.Input[dsl.Artifact],
    profile: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Describe the batch for the report: rows, nulls, quantiles, label rate; compared with the champion's training rows."""
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.profile_batch"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--batch",
            batch.path,
            "--profile-path",
            profile.path,
            "--executor-input",
            "{{$}}",
        ],
    )
