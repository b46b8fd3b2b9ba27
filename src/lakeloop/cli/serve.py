"""`lakeloop serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json, UseCaseArgument

if TYPE_CHECKING:
    from lakeloop.domain.rollout import Candidate
    from lakeloop.domain.use_case import UseCase
    from lakeloop.ports.deployer import Deployer
    from lakeloop.ports.models import ModelRegistry


Expected = Annotated[
    str | None, typer.Option("--version", metavar="VERSION", help="Only if this version is champion.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(use_case: UseCaseArgument, *, version: Expected = None, json: Json = False) -> None:
    """Bring the champion's endpoint up, e.g. after a reboot.

    Serves the version behind the alias `champion`, its bytes checked, and asks the endpoint which version and
    snapshot it serves. Where that version answers already, nothing happens. No other version is ever served: to make
    one live, which needs a reason, there are rollback --to VERSION and promote VERSION.

    \b
      lakeloop serve card_fraud
      lakeloop serve card_fraud --version 5
      lakeloop serve card_fraud --json | jq -r .url
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    loaded, settings = load_use_case(use_case), Settings()
    deployer = bootstrap.deployer(settings, loaded, output.say)
    answer = bring_up(loaded, bootstrap.model_registry(settings), deployer, version)
    if json:
        output.as_json(answer)
        return
    live = answer["endpoint"]
    output.data(f"{answer['url']}  serves version {live['version']} of snapshot {live['to_snapshot_id']}")


def bring_up(
    use_case: UseCase, registry: ModelRegistry, deployer: Deployer, expected: str | None = None
) -> dict[str, Any]:
    """Make the endpoint serve the champion.

    Args:
        use_case: whose endpoint.
        registry: knows the champion.
        deployer: of the endpoint.
        expected: the version that the caller takes for the champion; None for whichever it is.

    Raises:
        UserError: there is no champion yet, or it is not the expected version; nothing was touched.
        LakeloopError: the endpoint does not say that it serves the champion.
    """
    from tempfile import TemporaryDirectory

    from lakeloop.domain.errors import LakeloopError

    with TemporaryDirectory(prefix="lakeloop-") as folder:
        candidate = _champion(use_case, registry, Path(folder), expected)
        # The same version again is a no-op for every deployer: look, start what is missing, ask.
        handle = deployer.start(use_case.endpoint, candidate)
        url = deployer.shift(use_case.endpoint, handle)
        live = deployer.live(use_case.endpoint)
        if live is None or live.model_digest != candidate.identity.model_digest:
            raise LakeloopError(
                "the endpoint does not say that it serves the champion",
                where=url,
                fix="lakeloop stop, then lakeloop serve",
            )
        deployer.finish(use_case.endpoint, handle)
    return {"use_case": use_case.name, "url": url, "endpoint": live.model_dump(mode="json")}


def _champion(use_case: UseCase, registry: ModelRegistry, folder: Path, expected: str | None) -> Candidate:
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.identity import identity_of
    from lakeloop.domain.rollout import Candidate, Registration

    version = registry.champion(use_case.name)
    if version is None:
        raise UserError(
            "there is no champion yet", where=use_case.name, fix=f"lakeloop run {use_case.name} makes one"
        )
    if expected not in {None, version}:
        raise UserError(
            f"version {expected} is not the champion, version {version} is; no other version is served",
            where=use_case.name,
            fix=f"lakeloop rollback {use_case.name} --to {expected} --reason TEXT makes a version serve that did"
            f" before, lakeloop promote {use_case.name} {expected} --reason TEXT one that never did",
        )
    trained = registry.trained(use_case.name, version)
    registration = Registration(
        model_name=use_case.name,
        version=version,
        model_uri=trained.model_uri,
        model_digest=trained.model_digest,
    )
    model = registry.download(use_case.name, version, folder)
    return Candidate(identity=identity_of(trained, registration), model_folder=str(model))
