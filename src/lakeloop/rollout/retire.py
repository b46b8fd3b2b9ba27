"""Retiring a version: what it lives on may expire from then on."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from lakeloop.claiming import Claimant, now_ms
from lakeloop.domain.base import Frozen, canonical_json
from lakeloop.domain.errors import UserError
from lakeloop.domain.ledger import LedgerEvent, event_id
from lakeloop.domain.pins import pinned_by
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake
from lakeloop.recording import record
from lakeloop.rollout.redeploy import Places


class Retired(Frozen):
    """What became of it."""

    version: str
    already: bool
    unpinned: tuple[tuple[str, str], ...] = Field(default=(), description="Table and tag.")


def retire(  # noqa: PLR0913, PLR0917 - one request
    places: Places,
    claimant: Claimant,
    use_case: UseCase,
    version: str,
    reason: str,
    tell: Callable[[str], None],
) -> Retired:
    """Record `retired`, then remove the version's tags; repeated after a crash, it finishes what is left.

    Raises:
        UserError: the version is champion, or answers at the endpoint.
        LakeloopError: there is no such version.
        ConflictError: a training or another change holds the use case.
    """
    trained = places.registry.trained(use_case.name, version)
    _check_unused(places, use_case, version)
    with claimant.holding(None, f"retiring version {version}: {reason}"):
        try:
            _check_unused(places, use_case, version)
            known = claimant.ledger.events(use_case.name, documents=False)
            already = any(e.kind == "retired" and e.model_version == version for e in known)
            found = _pinned(places.lake, trained, use_case.name, version)
            if not already:
                record(claimant.ledger, _event(claimant, trained, version, reason, found))
            for table, tag in found:
                places.lake.unpin(table, tag)
                tell(f"{table}: {tag} is gone")
        finally:
            claimant.release(f"version {version} is retired")
    return Retired(version=version, already=already, unpinned=found)


def _check_unused(places: Places, use_case: UseCase, version: str) -> None:
    if places.registry.champion(use_case.name) == version:
        raise UserError(
            f"version {version} is the champion",
            where=use_case.name,
            fix="promote or roll back to another first",
        )
    live = places.deployer.live(use_case.endpoint)
    if live is not None and live.version == version:
        raise UserError(
            f"version {version} answers at endpoint {use_case.endpoint}",
            where=use_case.name,
            fix="redeploy the champion first: lakeloop serve brings it up",
        )


def _pinned(lake: Lake, trained: TrainedModel, model: str, version: str) -> tuple[tuple[str, str], ...]:
    training_set = trained.lineage.training_set
    tables = dict.fromkeys((training_set.range.table, training_set.feature_table))
    states = [lake.table_state(table) for table in tables]
    return tuple((s.name, tag) for s in states if s for tag in pinned_by(s.refs, model, version))


def _event(
    claimant: Claimant, trained: TrainedModel, version: str, reason: str, found: tuple[tuple[str, str], ...]
) -> LedgerEvent:
    # By name and version, not by run key: one retirement a version, whoever asks for it.
    return LedgerEvent(
        event_id=event_id(f"{claimant.use_case} version {version}", "retired"),
        use_case=claimant.use_case,
        kind="retired",
        at_ms=now_ms(),
        by=claimant.by,
        reason=reason,
        pipeline_run_id=claimant.owner,
        run_key=trained.lineage.run_key,
        model_version=version,
        mlflow_run_id=trained.mlflow_run_id,
        document=canonical_json({"unpinned": found}),
    )
