"""`lakeloop status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json

if TYPE_CHECKING:
    from lakeloop.domain.use_case import UseCase
    from lakeloop.settings import Settings

Named = Annotated[str | None, typer.Argument(metavar="[USE_CASE]", help="Default: all of conf/use_cases.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(use_case: Named = None, json: Json = False) -> None:
    """Show champion, endpoint, watermark and what is pending.

    The endpoint is asked itself which version and snapshot it serves.

    \b
      lakeloop status
      lakeloop status card_fraud --json | jq .endpoint.version
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import output
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import known_use_cases, load_use_case

    settings = Settings()
    found = [
        state_of(load_use_case(name), settings) for name in ([use_case] if use_case else known_use_cases())
    ]
    if json:
        output.as_json(found[0] if use_case else found)
        return
    if not found:
        output.say("no use case yet; next: lakeloop init SOURCE")
    for state in found:
        for line in status_lines(state):
            output.data(line)


def state_of(use_case: UseCase, settings: Settings) -> dict[str, Any]:
    """Champion, live identity, watermark and plan as JSON values; None where there is none."""
    from lakeloop import bootstrap
    from lakeloop.domain.claims import current_claim
    from lakeloop.domain.ledger import watermark
    from lakeloop.planning import plan_use_case

    live = bootstrap.deployer(settings, use_case).live(use_case.endpoint)
    events = bootstrap.ledger(settings).events(use_case.name, documents=False)
    mark, claim = watermark(events), current_claim(events)
    # Where nothing was promoted and nothing answers there is no champion; asking would make a database.
    promoted = any(event.kind == "promoted" for event in events)
    planned = plan_use_case(bootstrap.lake(settings), bootstrap.ledger(settings), use_case)
    return {
        "use_case": use_case.name,
        "table": use_case.table.name,
        "champion": bootstrap.model_registry(settings).champion(use_case.name) if promoted or live else None,
        "endpoint": live.model_dump(mode="json") if live else None,
        "watermark": mark.model_dump(mode="json") if mark else None,
        "claim": claim.model_dump(mode="json") if claim else None,
        "plan": planned.model_dump(mode="json"),
    }


def status_lines(state: dict[str, Any]) -> list[str]:
    """The state as text; a live endpoint that is not the champion is said aloud."""
    live, mark, planned = state["endpoint"], state["watermark"], state["plan"]
    champion = f"version {state['champion']}" if state["champion"] else "none yet"
    serves = (
        f"serves version {live['version']} of snapshot {live['to_snapshot_id']}" if live else "not running"
    )
    if live and live["version"] != state["champion"]:
        serves += f"  WARNING: the champion is {champion}"
    held = state.get("claim")
    return [
        f"{state['use_case']} on {state['table']}",
        f"  champion   {champion}",
        f"  endpoint   {serves}",
        f"  watermark  {mark['snapshot_id'] if mark else 'nothing trained on yet'}",
        f"  pending    {planned['action']}: {'; '.join(planned['reasons'])}",
        *([f"  held       {_held(held)}"] if held else []),
    ]


def _held(claim: dict[str, Any]) -> str:
    from lakeloop.cli.output import moment

    since, until = moment(claim["since_ms"]), moment(claim["until_ms"])
    return f"by {claim['owner']} ({claim['by']}) since {since}, its lease lasts until {until} (UTC)"
