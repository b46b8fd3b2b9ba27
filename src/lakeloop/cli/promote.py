"""`lakeloop promote`."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeloop.cli.by_hand import Reason, TakeOver
from lakeloop.cli.options import Json, UseCaseArgument

Version = Annotated[str, typer.Argument(metavar="VERSION", help="A registered model version, e.g. 3.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(promote)


def promote(
    use_case: UseCaseArgument,
    version: Version,
    *,
    reason: Reason,
    take_over: TakeOver = False,
    json: Json = False,
) -> None:
    """Make a registered version serve, by decision of a person.

    Only what passed the gate is ever registered. The version is proved with real rows, gets the traffic, is
    asked who it is, and becomes champion; else what serves goes on serving. Consumes no snapshots.

    \b
      lakeloop promote card_fraud 4 --reason "its rollout failed on a full disk, now mended"
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli.by_hand import change
    from lakeloop.rollout.by_hand import Change, promotion_target

    wanted = Change("promoted", lambda events: promotion_target(events, version), reason)
    change(use_case, wanted, take_over=take_over, as_json=json)
