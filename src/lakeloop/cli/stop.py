"""`lakeloop stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lakeloop.settings import Settings

Named = Annotated[str | None, typer.Argument(metavar="[USE_CASE]", help="Whose endpoint; or give --all.")]
All = Annotated[bool, typer.Option("--all", help="Every endpoint of this LAKELOOP_HOME.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(stop)


def stop(use_case: Named = None, *, every: All = False) -> None:
    """End an endpoint, or all of this machine.

    The model, its port and the champion stay as they are: `lakeloop serve` brings the endpoint up again. To
    stop what is not running is no error.

    \b
      lakeloop stop card_fraud
      lakeloop stop --all
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.domain.errors import UserError
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    if (use_case is None) != every:
        raise UserError("which endpoint?", where="lakeloop stop", fix="name a use case, or give --all")
    settings = Settings()
    if every:
        local = bootstrap.local_deployer(settings)
        ended = [name for name in _endpoints(settings) if local.stop(name)]
    else:
        loaded = load_use_case(str(use_case))
        ended = [loaded.endpoint] if bootstrap.deployer(settings, loaded).stop(loaded.endpoint) else []
    output.data(f"stopped: {', '.join(ended)}" if ended else "no endpoint was running")


def _endpoints(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.endpoints_folder.glob("*") if path.is_dir())
