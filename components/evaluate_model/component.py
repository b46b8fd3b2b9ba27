"""KFP specification of evaluate_model: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def evaluate_model(
    pipeline_run_id: str,
    use_case: str,
    training: dsl.Input[dsl.Artifact],
    decision: dsl.OutputPath(str),  # type: ignore[valid-type]
    verdict: dsl.Output[dsl.Artifact],
    evaluation: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Score challenger and champion on the same rows now; the verdict says promote or reject, and why."""
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.evaluate_model"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--training",
            training.path,
            "--decision-path",
            decision,
            "--verdict-path",
            verdict.path,
            "--evaluation-path",
            evaluation.path,
            "--executor-input",
            "{{$}}",
        ],
    )
