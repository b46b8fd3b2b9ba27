"""Arguments and options that several commands share."""

from typing import Annotated

import typer

UseCaseArgument = Annotated[
    str, typer.Argument(metavar="USE_CASE", help="Name in conf/use_cases (or LAKELOOP_USE_CASES), or a file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]
