"""KFP specification of redeploy_endpoint: signature and command line, nothing else."""

from kfp import dsl

from components.images import DEPLOY


@dsl.container_component
def redeploy_endpoint(
    pipeline_run_id: str,
    use_case: str,
    training: dsl.Input[dsl.Artifact],
    registration: dsl.Input[dsl.Artifact],
    endpoint_url: dsl.OutputPath(str),  # type: ignore[valid-type]
    rollout: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Prove the version in a real server, shift traffic, verify who answers; roll back on any failure."""
    return dsl.ContainerSpec(
        image=DEPLOY,
        command=["python", "-m", "components.redeploy_endpoint"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--training",
            training.path,
            "--registration",
            registration.path,
            "--endpoint-url-path",
            endpoint_url,
            "--rollout-path",
            rollout.path,
            "--executor-input",
            "{{$}}",
        ],
    )
