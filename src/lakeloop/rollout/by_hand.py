"""A rollback or promotion that a person asks for: the pipeline's own path, under a claim, on the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lakeloop.claiming import Claimant, now_ms
from lakeloop.domain.base import Frozen
from lakeloop.domain.errors import UserError
from lakeloop.domain.ledger import EventKind, LedgerEvent
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.served import previous_version, servings
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.recording import record
from lakeloop.rollout.events import manual_event
from lakeloop.rollout.redeploy import Places, redeploy
from lakeloop.rollout.rolling_out import RolloutFailedError

Events = Sequence[LedgerEvent]


class Changed(Frozen):
    """What became of it; `recorded` is False where this version served already, by endpoint, alias and ledger."""

    version: str
    previous_version: str | None
    recorded: bool
    rollout: Rollout


@dataclass(frozen=True)
class Change:
    """What is asked for. `choose` names the version by the ledger's events, or raises UserError."""

    kind: Literal["rolled_back", "promoted"]
    choose: Callable[[Events], str]
    reason: str


def rollback_target(events: Events, named: str | None) -> str:
    """The version that a rollback goes to.

    Args:
        events: of the use case, in ledger order.
        named: a version that was promoted before; None for the one that served before the present one.

    Raises:
        UserError: it was never promoted, is retired, or nothing served before.
    """
    known = [s.version for s in servings(events)]
    target = named or previous_version(events)
    if target is None:
        told = f"only version {known[-1]} is left to serve" if known else "nothing has been promoted yet"
        raise UserError(
            f"{told}: there is nothing to go back to", where=_where(events), fix="see lakeloop history"
        )
    if target not in known:
        raise UserError(
            f"version {target} was never promoted; {', '.join(dict.fromkeys(known)) or 'none'} was",
            where=_where(events),
            fix="name one of them, or promote it: lakeloop promote USE_CASE VERSION --reason TEXT",
        )
    return _living(events, target)


def promotion_target(events: Events, version: str) -> str:
    """The version, where anything has been trained and it is not retired.

    Raises:
        UserError: it cannot be promoted.
    """
    if not events:
        raise UserError(
            "nothing has been trained yet", where="promote", fix="lakeloop run makes a first version"
        )
    return _living(events, version)


def _living(events: Events, version: str) -> str:
    """Unless it is retired: what it needs may be gone."""
    if any(e.kind == "retired" and e.model_version == version for e in events):
        raise UserError(
            f"version {version} is retired", where=_where(events), fix="name another; see lakeloop history"
        )
    return version


def _where(events: Events) -> str:
    return events[0].use_case if events else "rollback"


def change_by_hand(
    places: Places, claimant: Claimant, use_case: UseCase, change: Change, tell: Callable[[str], None]
) -> Changed:
    """Make the version what serves. Consumes no snapshots: the next training reads what it would have read.

    Raises:
        UserError: there is no such version to go to.
        ConflictError: a training or another change holds the use case.
        RolloutFailedError: it is not live; what served before does again.
    """
    events = claimant.ledger.events(use_case.name, documents=False)
    version = change.choose(events)
    trained = places.registry.trained(use_case.name, version)
    with claimant.holding(None, _purpose(change, version), still=lambda now: change.choose(now) == version):
        try:
            return _redeploy(places, claimant, use_case, trained, change, version, tell)
        finally:
            claimant.release("ended without an outcome")


def _redeploy(  # noqa: PLR0913, PLR0917 - one step of the above
    places: Places,
    claimant: Claimant,
    use_case: UseCase,
    trained: TrainedModel,
    change: Change,
    version: str,
    tell: Callable[[str], None],
) -> Changed:
    before = places.registry.champion(use_case.name)
    registration = Registration(
        model_name=use_case.name,
        version=version,
        model_uri=trained.model_uri,
        model_digest=trained.model_digest,
        previous_champion=before,
    )
    try:
        rollout = redeploy(
            places,
            use_case,
            trained,
            registration,
            check_turn=lambda: claimant.claim(None, _purpose(change, version)),
            tell=tell,
        )
    except RolloutFailedError as error:
        _record(claimant, trained, error.rollout, "rollout_failed", str(error))
        raise
    served = servings(claimant.ledger.events(use_case.name, documents=False))
    recorded = before != version or not served or served[-1].version != version
    if recorded:
        _record(claimant, trained, rollout, change.kind, change.reason)
    return Changed(version=version, previous_version=before, recorded=recorded, rollout=rollout)


def _record(
    claimant: Claimant, trained: TrainedModel, rollout: Rollout, kind: EventKind, reason: str
) -> None:
    event = manual_event(
        kind, trained, rollout, reason=reason, owner=claimant.owner, by=claimant.by, at_ms=now_ms()
    )
    record(claimant.ledger, event)


def _purpose(change: Change, version: str) -> str:
    verb = "rolling back to" if change.kind == "rolled_back" else "promoting"
    return f"{verb} version {version}: {change.reason}"
