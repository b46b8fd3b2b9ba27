"""Registers the commands; each is one file."""

from typing import Annotated

import typer

from lakeloop import __version__
from lakeloop.cli import (
    cai,
    check_drift,
    export,
    history,
    init,
    logs,
    plan,
    prepare,
    promote,
    publish_features,
    replay,
    report,
    retire,
    rollback,
    run,
    run_submission,
    runs,
    schedule,
    score_batch,
    serve,
    show,
    spark_application,
    status,
    stop,
    submit,
    tell_truths,
    tidy,
    trigger,
    validate,
    what_served,
    why,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lakeloop {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="lakeloop",
    help="Continuous training for lakehouse tables: every batch becomes a verified, live, traceable model,"
    " or a recorded refusal.",
    epilog="\b\nStart here:\n"
    "  lakeloop run card_fraud                 land a batch, train, judge, redeploy\n"
    "  lakeloop init trips.csv --label late    write a use case for a table of your own\n"
    "\b\nExit codes: 0 done (a rejected model is done), 1 failed, 2 bad input, 3 conflict, 4 refused,\n"
    "130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def lakeloop(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Registers the option; the help is the application's."""


_LOOP = (init, validate, plan, run, submit, schedule, trigger, status)
_RECORD = (history, what_served, why, replay, show, export, report)
_ENDPOINT = (rollback, promote, retire, serve, publish_features, score_batch, check_drift, tell_truths, stop)
_PLACES = (prepare, cai, spark_application, run_submission)
for module in (*_LOOP, *_RECORD, *_ENDPOINT, runs, logs, tidy, *_PLACES):
    module.register(app)
