"""`lakeloop retire`."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeloop.cli.by_hand import Reason
from lakeloop.cli.options import Json, UseCaseArgument

Version = Annotated[str, typer.Argument(metavar="VERSION", help="Model version, e.g. 3.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(retire)


def retire(use_case: UseCaseArgument, version: Version, *, reason: Reason, json: Json = False) -> None:
    """Give up a version: its snapshots may expire from now on.

    Removes the Iceberg tags that hold what it was trained on; it cannot be replayed, promoted or rolled back to any
    more. Refused for the champion and for what answers at the endpoint. The ledger keeps who and why.

    \b
      lakeloop retire card_fraud 3 --reason "older than a year"
      lakeloop retire card_fraud 3 --reason superseded --json | jq .unpinned
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.cli.by_hand import claimant
    from lakeloop.domain.errors import UserError
    from lakeloop.rollout.redeploy import Places
    from lakeloop.rollout.retire import retire as retire_version
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    if not reason.strip():
        raise UserError("the reason is empty", where="--reason", fix="say why: the ledger keeps it")
    loaded, settings = load_use_case(use_case), Settings()
    places = Places(
        bootstrap.lake(settings),
        bootstrap.model_registry(settings),
        bootstrap.deployer(settings, loaded),
    )
    who = claimant(settings, loaded, "retired", take_over=False)
    with bootstrap.change_by_hand(settings, who.owner):
        done = retire_version(places, who, loaded, version, reason, output.say)
    if json:
        output.as_json(
            {"use_case": loaded.name, "by": who.by, "reason": reason, **done.model_dump(mode="json")}
        )
        return
    again = "was retired already" if done.already else "is retired"
    output.data(f"{loaded.name}: version {version} {again}; {len(done.unpinned)} pins removed")
