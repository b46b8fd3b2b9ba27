"""KFP specification of ingest_batch: signature and command line, nothing else."""

from kfp import dsl

from components.images import SPARK


@dsl.container_component
def ingest_batch(
    pipeline_run_id: str,
    use_case: str,
    batch: dsl.Input[dsl.Artifact],
    outcome: dsl.OutputPath(str),  # type: ignore[valid-type]
    ingest: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Write the batch to a branch, audit it, publish it; exactly once."""
    return dsl.ContainerSpec(
        image=SPARK,
        command=["python", "-m", "components.ingest_batch"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--batch",
            batch.path,
            "--outcome-path",
            outcome,
            "--ingest-path",
            ingest.path,
            "--executor-input",
            "{{$}}",
        ],
    )
