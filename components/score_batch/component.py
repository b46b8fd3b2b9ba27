"""KFP specification of score_batch: signature and command line, nothing else."""

from kfp import dsl

from components.images import DISTRIBUTED


@dsl.container_component
def score_batch(
    pipeline_run_id: str,
    use_case: str,
    table: str,
    from_snapshot_id: str,
    to_snapshot_id: str,
    scored: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Score a table, or the rows that a range added, with the champion; each row once, an interrupted run goes on."""
    return dsl.ContainerSpec(
        image=DISTRIBUTED,
        command=["python", "-m", "components.score_batch"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--table",
            table,
            "--from-snapshot-id",
            from_snapshot_id,
            "--to-snapshot-id",
            to_snapshot_id,
            "--scored-path",
            scored.path,
            "--executor-input",
            "{{$}}",
        ],
    )
