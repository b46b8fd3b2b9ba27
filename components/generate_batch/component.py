"""KFP specification of generate_batch: signature and command line, nothing else."""

from kfp import dsl

from components.images import DISTRIBUTED


@dsl.container_component
def generate_batch(
    pipeline_run_id: str,
    use_case: str,
    batch_options: str,
    batch: dsl.Output[dsl.Dataset],
) -> dsl.ContainerSpec:
    """Fix the batch: make the next synthetic one, or resolve which new files or snapshots it is."""
    return dsl.ContainerSpec(
        image=DISTRIBUTED,
        command=["python", "-m", "components.generate_batch"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--batch-options",
            batch_options,
            "--batch-path",
            batch.path,
            "--executor-input",
            "{{$}}",
        ],
    )
