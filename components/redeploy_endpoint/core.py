"""Decisions of a redeploy: who the candidate is, whether the endpoint is it, and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.redeploy_endpoint.proof import compare
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.ledger import EventKind, LedgerEvent, event_id
from lakeloop.domain.rollout import Identity, Rollout
from lakeloop.domain.training import TrainedModel


def check_answer(answer: Mapping[str, Any], identity: Identity, offline: float, tolerance: float) -> None:
    """The live endpoint's answer to one real row comes from this version and is the offline score.

    Raises:
        LakeloopError: it is not.
    """
    said = (answer.get("model_version"), answer.get("snapshot_id"))
    if said != (identity.version, identity.to_snapshot_id):
        raise LakeloopError(
            f"the endpoint answers with version {said[0]} of snapshot {said[1]}, not with version "
            f"{identity.version} of snapshot {identity.to_snapshot_id}",
            where="verify",
        )
    compare([offline], [float(score) for score in answer.get("scores", [])], tolerance)


def check_live(live: Identity | None, identity: Identity) -> None:
    """The endpoint says that it is this version.

    Raises:
        LakeloopError: it does not.
    """
    if live is None or not same_model(live, identity):
        said = "nothing" if live is None else f"version {live.version} of snapshot {live.to_snapshot_id}"
        raise LakeloopError(f"{said} answers, not version {identity.version}", where="verify")


def same_model(one: Identity, other: Identity) -> bool:
    """Equal in everything but the XGBoost that answers, which a server tells as it finds it."""
    return one.model_copy(update={"xgboost_version": other.xgboost_version}) == other


def ledger_event(  # noqa: PLR0913 - one field each
    kind: EventKind,
    trained: TrainedModel,
    rollout: Rollout,
    *,
    reason: str,
    pipeline_run_id: str,
    by: str,
    at_ms: int,
) -> LedgerEvent:
    """`promoted` once a training; `rollout_failed` once a pipeline run."""
    training_set = trained.lineage.training_set
    occurrence = "" if kind == "promoted" else pipeline_run_id
    return LedgerEvent(
        event_id=event_id(trained.lineage.run_key, kind, occurrence),
        use_case=trained.lineage.use_case,
        kind=kind,
        at_ms=at_ms,
        by=by,
        reason=reason,
        pipeline_run_id=pipeline_run_id,
        run_key=trained.lineage.run_key,
        range=training_set.range,
        schema_id=training_set.schema_id,
        columns=training_set.watermark_columns,
        model_version=rollout.version,
        mlflow_run_id=trained.mlflow_run_id,
        document=rollout.canonical_json(),
    )
