"""KFP specification of tidy_tables: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def tidy_tables(
    pipeline_run_id: str,
    use_case: str,
    older_than: str,
    mode: str,
    tidied: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Remove what dead attempts at a use case left in its tables and in staging."""
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.tidy_tables"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--older-than",
            older_than,
            "--mode",
            mode,
            "--tidied-path",
            tidied.path,
            "--executor-input",
            "{{$}}",
        ],
    )
