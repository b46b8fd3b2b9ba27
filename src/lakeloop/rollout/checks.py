"""Whether an endpoint is the candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Identity
from lakeloop.rollout.proof import compare


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
