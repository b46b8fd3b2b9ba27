"""KFP specification of check_drift: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def check_drift(
    pipeline_run_id: str,
    use_case: str,
    source: str,
    until: str,
    decision: dsl.OutputPath(str),  # type: ignore[valid-type]
    verdict: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Compare the champion's predictions of the last windows with its training: steady, drifted, or too few."""
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.check_drift"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--source",
            source,
            "--until",
            until,
            "--decision-path",
            decision,
            "--verdict-path",
            verdict.path,
            "--executor-input",
            "{{$}}",
        ],
    )
