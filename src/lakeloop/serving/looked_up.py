"""Features by id, as both servers look them up."""

from __future__ import annotations

from collections.abc import Sequence

from lakeloop.domain.online import EntityFeatures, OnlineVersion, same_entity_id
from lakeloop.ports.online_store import OnlineStore


def looked_up(
    store: OnlineStore, use_case: str, ids: Sequence[str], feature_hash: str | None = None
) -> tuple[OnlineVersion, list[EntityFeatures | None]] | None:
    """As `OnlineStore.get`; where several columns name an entity, its JSON list may have blanks, or numbers.

    Args:
        store: of the features.
        use_case: whose features.
        ids: as callers sent them.
        feature_hash: of the definitions; None: those that were published last.
    """
    answered = store.get(use_case, ids, feature_hash)
    if answered is None or None not in answered[1] or len(answered[0].entity) == 1:
        return answered
    return store.get(use_case, [same_entity_id(text) for text in ids], feature_hash)
