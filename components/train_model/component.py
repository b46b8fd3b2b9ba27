"""KFP specification of train_model: signature and command line, nothing else."""

from kfp import dsl

from components.images import DISTRIBUTED


@dsl.container_component
def train_model(
    pipeline_run_id: str,
    use_case: str,
    training_set: dsl.Input[dsl.Artifact],
    training: dsl.Output[dsl.Model],
) -> dsl.ContainerSpec:
    """Train XGBoost on the training set; one MLflow run with lineage per run key."""
    return dsl.ContainerSpec(
        image=DISTRIBUTED,
        command=["python", "-m", "components.train_model"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--training-set",
            training_set.path,
            "--training-path",
            training.path,
            "--executor-input",
            "{{$}}",
        ],
    )
