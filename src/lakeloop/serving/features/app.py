"""The features API: an entity's features as of a snapshot."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.online import EntityFeatures, OnlineVersion, check_entity_id
from lakeloop.ports.online_store import OnlineStore
from lakeloop.serving.api import TEXT, Answer, Api, Call, Guards, Route, in_thread, json_answer
from lakeloop.serving.features.openapi import openapi
from lakeloop.serving.http import Refused
from lakeloop.serving.looked_up import looked_up
from lakeloop.serving.metrics import ServerMetrics
from lakeloop.serving.rows import counted, parse_json

MAX_IDS = 1_000


class Features:
    """Looks features up; whoever published last decides what is answered."""

    def __init__(self, use_case: str, store: OnlineStore) -> None:
        self._use_case, self._store = use_case, store

    async def one(self, call: Call) -> Answer:
        """`GET /features/ID`."""
        entity = check_entity_id(call.tail)
        version, (found,) = await self._get([entity])
        if found is None:
            raise Refused(404, "no entity has this id")
        call.rows = 1
        return json_answer({**_features(entity, found), "as_of": _as_of(version)})

    async def many(self, call: Call) -> Answer:
        """`POST /features` with `{"ids": [...]}`: in their order, null for an unknown one."""
        ids = [check_entity_id(i) for i in counted(parse_json(call.body), "ids", MAX_IDS)]
        version, found = await self._get(ids)
        call.rows = len(ids)
        entities = [None if f is None else _features(i, f) for i, f in zip(ids, found, strict=True)]
        return json_answer({"entities": entities, "as_of": _as_of(version)})

    async def ready(self, _: Call) -> Answer:
        """Whether there is something to answer with."""
        version = await in_thread(self._store.current, self._use_case)
        if version is None:
            raise Refused(503, "no features are published yet")
        return json_answer({"status": "ready", "as_of": _as_of(version)})

    async def _get(self, ids: list[str]) -> tuple[OnlineVersion, list[EntityFeatures | None]]:
        found = await in_thread(looked_up, self._store, self._use_case, ids)
        if found is None:
            raise Refused(503, "no features are published yet")
        version, features = found
        return version, features


def _features(entity: str, found: EntityFeatures) -> dict[str, Any]:
    return {"id": entity, "event_time": found.event_time, "features": found.features}


def _as_of(version: OnlineVersion) -> dict[str, str]:
    return {
        "snapshot_id": version.source_snapshot_id,
        "feature_snapshot_id": version.feature_snapshot_id,
        "computed_at": version.computed_at,
        "feature_hash": version.feature_hash,
    }


def build_app(use_case: str, store: OnlineStore, guards: Guards | None = None) -> Api:
    """The application of one use case."""
    guards = guards or Guards()
    features = Features(use_case, store)
    metrics = ServerMetrics("features", {"server": "features", "use_case": use_case})
    document = openapi(use_case, MAX_IDS, tokens=guards.tokens.asked)

    async def live(_: Call) -> Answer:
        return json_answer({"status": "live"})

    async def described(_: Call) -> Answer:
        return json_answer(document)

    async def measured(_: Call) -> Answer:
        return Answer(metrics.text(), content_type=TEXT)

    routes = {
        "/features/": {"GET": Route(features.one)},
        "/features": {"POST": Route(features.many)},
        "/health/live": {"GET": Route(live, open=True)},
        "/health/ready": {"GET": Route(features.ready, open=True)},
        "/openapi.json": {"GET": Route(described, open=True)},
        "/metrics": {"GET": Route(measured, open=True)},
    }
    return Api(routes, metrics, guards)
