"""KFP specification of register_model: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def register_model(
    pipeline_run_id: str,
    use_case: str,
    training: dsl.Input[dsl.Artifact],
    verdict: dsl.Input[dsl.Artifact],
    registration: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Register the promoted model as a version with lineage, and pin the snapshots it depends on."""
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.register_model"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--training",
            training.path,
            "--verdict",
            verdict.path,
            "--registration-path",
            registration.path,
            "--executor-input",
            "{{$}}",
        ],
    )
