"""`lakeloop spark-application`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lakeloop.cli.options import UseCaseArgument

_STEP = "build_training_set"
_OUT = "/tmp/lakeloop-step"  # noqa: S108 - the driver's own emptyDir
_CODE = "/opt/code"
_SPARK_VERSION = "4.1.4"

Namespace = Annotated[str, typer.Option(help="Of the object and its pods.")]
Image = Annotated[str, typer.Option(help="Of driver and executors.")]
ServiceAccount = Annotated[str, typer.Option(help="Of the driver.")]
RunId = Annotated[str, typer.Option(help="Names the run in ledger and journal, and the object.")]
Code = Annotated[str, typer.Option(help="Folder in the image that holds the package `components`.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("spark-application")(spark_application_command)


def spark_application_command(  # noqa: PLR0913 - a command's signature is its options
    use_case: UseCaseArgument,
    *,
    run_id: RunId,
    namespace: Namespace = "kubeflow",
    image: Image = "lakeloop/spark:0.1.0",
    service_account: ServiceAccount = "lakeloop-steps",
    code: Code = _CODE,
) -> None:
    """Print the step build_training_set as a SparkApplication, for the Spark operator.

    Plans the range since the watermark and computes its features, as the step of the pipeline
    does; what the operator is not needed for. Writes nothing.

    \b
      lakeloop spark-application card_fraud --run-id by-hand-1 | kubectl apply -f -
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    import yaml

    from lakeloop.adapters.spark.on_kubernetes.spark_application import Application, spark_application
    from lakeloop.cli import output
    from lakeloop.use_case_files import load_use_case

    loaded = load_use_case(use_case)
    application = Application(
        name=object_name(loaded.name, run_id),
        namespace=namespace,
        image=image,
        service_account=service_account,
        main_file=f"{code.rstrip('/')}/components/{_STEP}/__main__.py",
        arguments=step_arguments(loaded.model_dump_json(), run_id),
        spark_version=_SPARK_VERSION,
    )
    document = spark_application(application, loaded.spark)
    output.data(yaml.safe_dump(document, sort_keys=False, width=110).rstrip())


def object_name(use_case: str, run_id: str) -> str:
    """A DNS label; the run id must make it one.

    Raises:
        UserError: it does not.
    """
    import re

    from lakeloop.domain.errors import UserError

    name = f"{use_case.replace('_', '-')}-{run_id}"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,51}[a-z0-9]", name):
        raise UserError(
            f"{name!r} is no name for a Kubernetes object",
            where="--run-id",
            fix="use lower-case letters, digits and dashes, 53 characters with the use case's name",
        )
    return name


def step_arguments(use_case_json: str, run_id: str) -> list[str]:
    """The step's command line, with outputs in the driver's scratch folder."""
    artifacts: dict[str, Any] = {
        name: {"artifacts": [{"name": name, "uri": f"file://{_OUT}/{name}", "metadata": {}}]}
        for name in ("plan", "training_set")
    }
    outputs = {"outputs": {"outputFile": f"{_OUT}/executor_output.json", "artifacts": artifacts}}
    return [
        *("--pipeline-run-id", run_id, "--use-case", use_case_json, "--ingest", f"{_OUT}/ingest"),
        *("--action-path", f"{_OUT}/action", "--plan-path", f"{_OUT}/plan"),
        *("--training-set-path", f"{_OUT}/training_set", "--executor-input", json.dumps(outputs)),
    ]
