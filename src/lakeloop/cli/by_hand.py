"""What `rollback` and `promote` share: who acts, where, and what is said of the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lakeloop.claiming import Claimant
    from lakeloop.domain.use_case import UseCase
    from lakeloop.rollout.by_hand import Change, Changed
    from lakeloop.settings import Settings

LONGEST_LEASE_SECONDS = 900.0

Reason = Annotated[str, typer.Option(help="Why; kept in the ledger.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Even while a run holds the use case; that run then fails with 3.")
]


def change(use_case: str, wanted: Change, *, take_over: bool, as_json: bool) -> None:
    """Carry the change out and tell about it."""
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.domain.errors import UserError
    from lakeloop.rollout.by_hand import change_by_hand
    from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    if not wanted.reason.strip():
        raise UserError("the reason is empty", where="--reason", fix="say why: the ledger keeps it")
    loaded, settings = load_use_case(use_case), Settings()
    who = claimant(settings, loaded, wanted.kind, take_over=take_over)
    with bootstrap.change_by_hand(settings, who.owner):
        changed = change_by_hand(_places(settings, loaded), who, loaded, wanted, tell=output.say)
    if as_json:
        output.as_json(changed_document(loaded, who, wanted, changed))
        return
    output.data(changed_line(loaded.name, changed))


def claimant(settings: Settings, use_case: UseCase, kind: str, *, take_over: bool) -> Claimant:
    """Its lease is short: nobody resumes a command that died; on this machine the next one takes over at once."""
    import secrets
    from datetime import UTC, datetime

    from lakeloop import bootstrap
    from lakeloop.claiming import Claimant
    from lakeloop.cli import output
    from lakeloop.runtime.claimant import recorded_by

    name = {"rolled_back": "rollback", "retired": "retire"}.get(kind, "promote")
    return Claimant(
        ledger=bootstrap.ledger(settings),
        use_case=use_case.name,
        owner=f"{name}-{datetime.now(tz=UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        by=recorded_by(settings),
        lease_seconds=min(settings.claim_lease_seconds, LONGEST_LEASE_SECONDS),
        skew_seconds=settings.clock_skew_seconds,
        ended=bootstrap.run_ended(settings),
        yields=take_over,
        advice="in an emergency, --take-over does not wait",
        tell=output.say,
    )


def _places(settings: Settings, use_case: UseCase) -> Any:
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.rollout.redeploy import Places

    deployer = bootstrap.deployer(settings, use_case, output.say)
    return Places(bootstrap.lake(settings), bootstrap.model_registry(settings), deployer)


def changed_document(use_case: UseCase, who: Claimant, wanted: Change, changed: Changed) -> dict[str, Any]:
    """The end as JSON values."""
    return {
        "use_case": use_case.name,
        "event": wanted.kind if changed.recorded else None,
        "by": who.by,
        "reason": wanted.reason,
        **changed.model_dump(mode="json"),
    }


def changed_line(name: str, changed: Changed) -> str:
    """The end in a line."""
    if not changed.recorded:
        return (
            f"{name}: version {changed.version} serves already at {changed.rollout.url}; nothing was changed"
        )
    before = f" instead of version {changed.previous_version}" if changed.previous_version else ""
    return f"{name}: version {changed.version} serves at {changed.rollout.url}{before}"
