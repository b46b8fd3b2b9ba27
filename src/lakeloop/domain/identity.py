"""Who a served model is."""

from __future__ import annotations

from lakeloop.domain.rollout import Identity, Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import Deployment

_XGBOOST = ("xgboost-cpu", "xgboost")  # two packages of one library


def identity_of(trained: TrainedModel, registration: Registration) -> Identity:
    """What the endpoint must say of itself once this version is live."""
    training_set, libraries = trained.lineage.training_set, trained.lineage.code.libraries
    return Identity(
        model_name=registration.model_name,
        version=registration.version,
        model_digest=registration.model_digest,
        run_key=trained.lineage.run_key,
        mlflow_run_id=trained.mlflow_run_id,
        table=training_set.range.table,
        from_snapshot_id=training_set.range.from_snapshot_id,
        to_snapshot_id=training_set.range.to_snapshot_id,
        feature_snapshot_id=training_set.feature_snapshot_id,
        feature_hash=training_set.feature_hash,
        xgboost_version=next((libraries[name] for name in _XGBOOST if name in libraries), ""),
        decision_threshold=_decision_threshold(trained),
    )


def _decision_threshold(trained: TrainedModel) -> float:
    """As declared when the model was trained; versions from before it could be declared have the default."""
    declared = trained.use_case.get("deployment", {}).get("decision_threshold")
    return Deployment().decision_threshold if declared is None else float(declared)
