"""Decisions of the step: whether it is still this version's turn, and what the artifact says."""

from __future__ import annotations

from lakeloop.domain.errors import ConflictError
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.training import TrainedModel


def check_turn(champion: str | None, registration: Registration) -> None:
    """The champion is the one that the version was judged against, or the version itself.

    Raises:
        ConflictError: it is another one.
    """
    if champion not in {registration.previous_champion, registration.version}:
        raise ConflictError(
            f"the champion is version {champion} now, this version was judged against "
            f"{registration.previous_champion or 'none'}",
            where=registration.model_name,
            fix="run again: it is judged against the new champion",
        )


def metadata(rollout: Rollout, trained: TrainedModel) -> dict[str, str]:
    """Of the rollout artifact."""
    return {
        "outcome": rollout.outcome,
        "url": rollout.url,
        "model_version": rollout.version,
        "snapshot_id": trained.lineage.training_set.range.to_snapshot_id,
        "run_key": trained.lineage.run_key,
    }
