"""KFP specification of replay_version: signature and command line, nothing else."""

from kfp import dsl

from components.images import DISTRIBUTED


@dsl.container_component
def replay_version(
    pipeline_run_id: str,
    use_case: str,
    version: str,
    source: str,
    replay: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Rebuild a model version from its lineage in a scratch place, and prove it identical or say what differs."""
    return dsl.ContainerSpec(
        image=DISTRIBUTED,
        command=["python", "-m", "components.replay_version"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--version",
            version,
            "--source",
            source,
            "--replay-path",
            replay.path,
            "--executor-input",
            "{{$}}",
        ],
    )
