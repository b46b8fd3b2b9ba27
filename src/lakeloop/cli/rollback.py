"""`lakeloop rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeloop.cli.by_hand import Reason, TakeOver
from lakeloop.cli.options import Json, UseCaseArgument

To = Annotated[str | None, typer.Option(metavar="VERSION", help="Default: the version that served before.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rollback)


def rollback(
    use_case: UseCaseArgument,
    *,
    reason: Reason,
    to: To = None,
    take_over: TakeOver = False,
    json: Json = False,
) -> None:
    """Make an earlier version serve again.

    Goes the way of every redeploy: the version is proved with real rows in a real server, gets the traffic,
    is asked who it is, and becomes champion; else what serves goes on serving. The ledger keeps who and why. No
    snapshot counts as unread again: the next run trains on what came since the last one.

    \b
      lakeloop rollback card_fraud --reason "scores of cards from Peru are off"
      lakeloop rollback card_fraud --to 3 --reason "the last good one" --json | jq .rollout.url
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli.by_hand import change
    from lakeloop.rollout.by_hand import Change, rollback_target

    wanted = Change("rolled_back", lambda events: rollback_target(events, to), reason)
    change(use_case, wanted, take_over=take_over, as_json=json)
