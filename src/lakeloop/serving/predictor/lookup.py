"""Ids -> what the booster sees, from the online store; refused where its definitions are not the model's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakeloop.domain.encoding import encode
from lakeloop.domain.online import check_entity_id
from lakeloop.ports.online_store import OnlineStore
from lakeloop.serving.http import Refused
from lakeloop.serving.looked_up import looked_up

if TYPE_CHECKING:
    import numpy as np

    from lakeloop.serving.feature_function import FeatureFunction

MAX_IDS = 1_000


class FeatureLookup:
    """The online features of a model's use case."""

    def __init__(self, model: FeatureFunction, store: OnlineStore) -> None:
        self._model, self._store = model, store

    def matrix(self, ids: list[Any]) -> tuple[np.ndarray[Any, Any], list[Any]]:
        """Matrix [ids, features], and what was looked up, for the log: id, features, snapshot.

        Raises:
            UserError: an id is no id.
            Refused: 404 an unknown id; 409 features of other definitions; 503 none are published.
            LakeloopError: the store does not answer.
        """
        entities = [check_entity_id(i) for i in ids]
        identity = self._model.identity
        answered = looked_up(self._store, identity.model_name, entities, identity.feature_hash)
        if answered is None:
            raise self._nothing_of_mine()
        version, found = answered
        unknown = [index for index, features in enumerate(found) if features is None]
        if unknown:
            told = f"{len(unknown)} of {len(ids)} ids are of no entity that is known"
            raise Refused(404, f"{told}: ids[{unknown[0]}] is the first of them")
        rows = [features.features for features in found if features is not None]
        inputs = [
            {"id": entity, "features": row, "feature_snapshot_id": version.feature_snapshot_id}
            for entity, row in zip(entities, rows, strict=True)
        ]
        return encode(rows, self._model.encoding), inputs

    def _nothing_of_mine(self) -> Refused:
        published, wanted = self._store.current(self._model.identity.model_name), self._model.identity
        if published is None:
            return Refused(503, "no features are published yet")
        return Refused(
            409,
            f"the published features have definitions {published.feature_hash}, the model was trained on "
            f"{wanted.feature_hash}: publish the features again, or deploy the model that was trained on them",
        )
