"""Published features of the entities whose rows `tests.fakes.models` has."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.online import EntityFeatures, OnlineVersion
from lakeloop.ports.online_store import OnlineStore

FEATURE_SNAPSHOT = "4410985533172097713"
EVERYONE: dict[str, dict[str, Any]] = {
    "1": {"amount": 0.7, "age": 31.0, "kind": "b"},
    "2": {"amount": 0.2, "age": None, "kind": "a"},
    "3": {"amount": None, "age": 64.0, "kind": "never seen"},
}


def publish_everyone(store: OnlineStore) -> None:
    """Features of the definitions that the models of `tests.fakes.models` have."""
    version = OnlineVersion(
        use_case="fraud",
        feature_hash="0123456789abcdef",
        feature_table="bank.t__fraud_features",
        feature_snapshot_id=FEATURE_SNAPSHOT,
        source_snapshot_id="3051729675574597004",
        computed_at="2026-01-01T00:00:00.000+00:00",
        entity=("id",),
        features=("amount", "age", "kind"),
    )
    store.publish(version, [(i, EntityFeatures(event_time=None, features=f)) for i, f in EVERYONE.items()])
