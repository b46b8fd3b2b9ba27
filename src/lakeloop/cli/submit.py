"""`lakeloop submit`, `follow` and `terminate`: runs on a cluster."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lakeloop.cli.options import Json, UseCaseArgument
from lakeloop.cli.run import NoBatch, Number, Plant, Rows

if TYPE_CHECKING:
    from lakeloop.domain.batch import BatchOptions
    from lakeloop.domain.remote_run import Submission
    from lakeloop.domain.use_case import UseCase
    from lakeloop.ports.pipelines import PipelineService
    from lakeloop.settings import Settings

TERMINATION_SECONDS = 120.0
"""Within which a run that was told to end has ended: the grace period of its pods, and the service's own pace."""

On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="cluster|kubernetes-job",
        help="Kubeflow Pipelines; or one Job, for a cluster that has only Kubernetes.",
    ),
]
Pipeline = Annotated[str, typer.Option(help="Folder of pipelines/: retrain, ingest, tidy, replay.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the pipeline; repeatable."),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Of one key there is one run: submitting it again follows that run."),
]
Experiment = Annotated[str | None, typer.Option(help="KFP experiment; default lakeloop-USE_CASE.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for the end.")]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="As `lakeloop submit` prints it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(submit)
    app.command()(follow)
    app.command()(terminate)


def submit(  # noqa: PLR0913 - a command's signature is its options
    use_case: UseCaseArgument,
    *,
    on: On = "cluster",
    pipeline: Pipeline = "retrain",
    rows: Rows = None,
    number: Number = None,
    plant: Plant = None,
    no_batch: NoBatch = False,
    parameters: Set = None,
    key: Key = None,
    experiment: Experiment = None,
    detach: Detach = False,
    json: Json = False,
) -> None:
    """Run a committed pipeline on Kubeflow Pipelines, and follow it.

    Sends exactly pipelines/NAME/pipeline.yaml, with the use case as one JSON string. Each step's state and
    progress is shown until the run ends; Ctrl-C leaves it running. Exit codes are those of `lakeloop run`.
    The cluster is LAKELOOP_KFP_HOST, else the current kube context. `--on kubernetes-job` runs the same pipeline in
    one pod, where there is no Kubeflow Pipelines.

    \b
      lakeloop submit card_fraud
      lakeloop submit card_fraud --rows 1000000 --detach
      lakeloop submit card_fraud --pipeline tidy --set older_than=6h
      lakeloop submit card_fraud --pipeline replay --set version=1
      lakeloop submit card_fraud --key nightly-2026-01-31
      lakeloop submit card_fraud --on kubernetes-job
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.cli.cluster_runs import elsewhere, follow_and_tell, free_of_ended_run, service_of
    from lakeloop.cli.preflight import check_once
    from lakeloop.cli.run import batch_options
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    loaded, settings = load_use_case(use_case), Settings()
    service = service_of(settings, on)
    options = batch_options(loaded, rows, number, plant or [], land=not no_batch)
    wanted = _submission(loaded, pipeline, options, parameters or [], key, experiment or "")
    check_once(loaded, settings)
    free_of_ended_run(service, settings, loaded.name)  # out of reach: the steps' own claim decides
    run_id = service.start(wanted)
    link = service.link(run_id)
    if detach:
        if json:
            output.as_json({"run_id": run_id, "name": wanted.name, "link": link})
        else:
            output.data(f"{wanted.name}: run {run_id}\n  link        {link}")
            output.data(f"  next        {output.program()} follow {run_id}{elsewhere(on)}")
        return
    output.say(f"submitted {wanted.name}, experiment {wanted.experiment}: {link}")
    raise typer.Exit(follow_and_tell(service, settings, run_id, on, as_json=json))


def follow(run_id: RunId, *, on: On = "cluster", json: Json = False) -> None:
    """Follow a run on the cluster to its end; leaves with its exit code.

    \b
      lakeloop follow RUN_ID
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli.cluster_runs import follow_and_tell, service_of
    from lakeloop.settings import Settings

    settings = Settings()
    raise typer.Exit(follow_and_tell(service_of(settings, on), settings, run_id, on, as_json=json))


def terminate(run_id: RunId, *, on: On = "cluster") -> None:
    """End a run on the cluster; what its steps have made stays as it is.

    Waits until it has ended, then frees its use case, so that the next run need not wait for the lease of its claim.

    \b
      lakeloop terminate RUN_ID
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.cli.cluster_runs import elsewhere, service_of
    from lakeloop.settings import Settings

    settings = Settings()
    service = service_of(settings, on)
    before = service.look(run_id)
    if before.ended:
        output.data(f"run {run_id} has ended already: {before.state}")
        return
    service.terminate(run_id)
    if _ended(service, run_id):
        output.data(f"run {run_id} is terminated")
        _free(service, settings, before.use_case)
        return
    again = f"{output.program()} follow {run_id}{elsewhere(on)}"
    output.data(f"run {run_id} is being terminated; {again} shows its end")


def _ended(service: PipelineService, run_id: str) -> bool:
    """Whether the run ends within `TERMINATION_SECONDS`."""
    import time

    from lakeloop.domain.errors import ServiceAwayError

    until = time.monotonic() + TERMINATION_SECONDS
    while time.monotonic() < until:
        with suppress(ServiceAwayError):  # bounded by the limit
            if service.look(run_id).ended:
                return True
        time.sleep(1)
    return False


def _free(service: PipelineService, settings: Settings, use_case: str) -> None:
    from lakeloop.cli import output
    from lakeloop.cli.cluster_runs import free_of_ended_run

    if use_case and (problem := free_of_ended_run(service, settings, use_case)):
        output.say(
            f"note: the ledger cannot be reached from here ({problem}): if the run held {use_case}, its claim ends "
            "with its lease, or with the next submit from where the ledger can be reached"
        )


def _submission(  # noqa: PLR0913, PLR0917 - what the options say
    use_case: UseCase,
    pipeline: str,
    options: BatchOptions,
    parameters: list[str],
    key: str | None,
    experiment: str,
) -> Submission:
    from lakeloop.cli import output
    from lakeloop.cli.pipeline_files import committed_pipeline
    from lakeloop.runners.cluster.submission import (
        fresh_key,
        given_parameters,
        notes_for_a_cluster,
        pipeline_arguments,
        pipeline_inputs,
        submission,
    )
    from lakeloop.runtime.claimant import recorded_by
    from lakeloop.settings import Settings

    inputs = pipeline_inputs(committed_pipeline(pipeline))
    arguments = pipeline_arguments(pipeline, inputs, use_case, options, given_parameters(parameters))
    for note in notes_for_a_cluster(use_case, arguments):
        output.say(f"note: {note}")
    return submission(
        use_case,
        pipeline,
        arguments,
        key=key or fresh_key(),
        keyed=key is not None,
        by=recorded_by(Settings()),
        experiment=experiment,
    )
