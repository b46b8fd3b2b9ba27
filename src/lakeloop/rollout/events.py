"""What the ledger says of a rollout."""

from __future__ import annotations

from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id
from lakeloop.domain.rollout import Rollout
from lakeloop.domain.training import TrainedModel


def trained_event(  # noqa: PLR0913 - one field each
    kind: EventKind,
    trained: TrainedModel,
    rollout: Rollout,
    *,
    reason: str,
    owner: str,
    by: str,
    at_ms: int,
) -> LedgerEvent:
    """A training's end: `promoted` once a training, `rollout_failed` once a pipeline run; has the range."""
    training_set = trained.lineage.training_set
    return _event(kind, trained, rollout, "" if kind == "promoted" else owner).model_copy(
        update={
            "reason": reason,
            "pipeline_run_id": owner,
            "by": by,
            "at_ms": at_ms,
            "range": training_set.range,
            "schema_id": training_set.schema_id,
            "columns": training_set.watermark_columns,
        }
    )


def manual_event(  # noqa: PLR0913 - one field each
    kind: EventKind,
    trained: TrainedModel,
    rollout: Rollout,
    *,
    reason: str,
    owner: str,
    by: str,
    at_ms: int,
) -> LedgerEvent:
    """A rollback or promotion by hand: without a range, so that it consumes nothing."""
    return _event(kind, trained, rollout, owner).model_copy(
        update={"reason": reason, "pipeline_run_id": owner, "by": by, "at_ms": at_ms}
    )


def _event(kind: EventKind, trained: TrainedModel, rollout: Rollout, occurrence: str) -> LedgerEvent:
    return LedgerEvent(
        event_id=event_id(trained.lineage.run_key, kind, occurrence),
        use_case=trained.lineage.use_case,
        kind=kind,
        at_ms=0,
        by="",
        reason="",
        run_key=trained.lineage.run_key,
        model_version=rollout.version,
        mlflow_run_id=trained.mlflow_run_id,
        document=rollout.canonical_json(),
    )
