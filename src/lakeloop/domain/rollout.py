"""A redeploy, step by step."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from lakeloop.domain.base import Frozen


class Registration(Frozen):
    """A model version in the registry (artifact `registration` of register_model)."""

    model_name: str
    version: str
    model_uri: str
    model_digest: str
    previous_champion: str | None = None
    pins: dict[str, str] = Field(default_factory=dict, description="'TABLE' -> tag that pins the snapshot.")


class Identity(Frozen):
    """What an endpoint says of itself (`GET /version`)."""

    model_name: str
    version: str
    model_digest: str
    run_key: str
    mlflow_run_id: str
    table: str
    from_snapshot_id: str | None
    to_snapshot_id: str
    feature_snapshot_id: str
    feature_hash: str
    xgboost_version: str = ""
    decision_threshold: float = Field(default=0.5, description="A score from here on is a positive decision.")

    def differences(self, said: Identity) -> str:
        """Each field in which what a server says is not this; empty where nothing differs.

        The XGBoost that answers counts only where the training told its own.
        """
        wanted = self.model_dump() | (
            {} if self.xgboost_version else {"xgboost_version": said.xgboost_version}
        )
        told = ((key, is_, wanted[key]) for key, is_ in said.model_dump().items())
        return "; ".join(f"{key} is {is_}, expected {should}" for key, is_, should in told if is_ != should)


class Candidate(Frozen):
    """What is to be served: a folder with booster.ubj, encoding.json and identity.json, and its identity."""

    identity: Identity
    model_folder: str


class RolloutStep(Frozen):
    """One step of a rollout with its evidence."""

    name: Literal["prove", "shift", "verify", "roll_back", "adopt"]
    passed: bool
    detail: str
    seconds: float = 0.0


class Rollout(Frozen):
    """Artifact `rollout` of redeploy_endpoint."""

    outcome: Literal["live", "already_live", "rolled_back", "failed"]
    endpoint: str
    target: str = Field(default="", description="The deployment target that was in force.")
    url: str
    version: str
    previous_version: str | None = None
    steps: tuple[RolloutStep, ...] = ()
    sample_request: dict[str, Any] = Field(
        default_factory=dict, description="A real row, as sent to the live endpoint."
    )
    sample_response: dict[str, Any] = Field(default_factory=dict)
    max_score_difference: float | None = None
    rows_proved: int = 0
