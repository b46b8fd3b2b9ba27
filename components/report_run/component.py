"""KFP specification of report_run: signature and command line, nothing else."""

from kfp import dsl

from components.images import TRAIN


@dsl.container_component
def report_run(
    pipeline_run_id: str,
    use_case: str,
    status: dsl.PipelineTaskFinalStatus,
    report: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Close the run, whatever became of it: one HTML page that ties batch, plan, model, verdict and rollout together."""
    return dsl.ContainerSpec(
        image=TRAIN,
        command=["python", "-m", "components.report_run"],
        args=[
            "--pipeline-run-id",
            pipeline_run_id,
            "--use-case",
            use_case,
            "--status",
            status,
            "--report-path",
            report.path,
            "--executor-input",
            "{{$}}",
        ],
    )
