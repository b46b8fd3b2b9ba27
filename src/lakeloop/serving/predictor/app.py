"""The HTTP interface of a predictor, and of a transformer: one model, three protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from lakeloop.serving.api import TEXT, Answer, Api, Call, Guards, Route
from lakeloop.serving.metrics import ServerMetrics
from lakeloop.serving.model import ServedModel, xgboost_version
from lakeloop.serving.prediction_log.segments import SegmentWriter
from lakeloop.serving.predictor.answering import Predictor
from lakeloop.serving.predictor.batching import Batcher
from lakeloop.serving.predictor.lookup import FeatureLookup
from lakeloop.serving.predictor.openapi import openapi
from lakeloop.serving.predictor.scoring import ModelScorer

ENCODING_PATH = "/encoding"
"""Of a predictor behind a transformer: whose features it takes, and how they are made."""


def build_predictor(
    model: ServedModel,
    log: SegmentWriter | None = None,
    *,
    log_to_disk: bool = False,
    lookup: FeatureLookup | None = None,
    takes_ready: bool = False,
) -> Predictor:
    """The predictor of one model; `lookup` where callers may send ids, `takes_ready` behind a transformer."""
    told = as_told(model)
    scorer = ModelScorer(told, Batcher(told.predict, log, log_to_disk=log_to_disk))
    return Predictor(told, scorer, lookup=lookup, takes_ready=takes_ready)


def as_told(model: ServedModel) -> ServedModel:
    """The model whose identity says by which XGBoost it answers; itself where it does, with what it has compiled."""
    identity = model.identity.model_copy(update={"xgboost_version": xgboost_version()})
    return model if model.identity == identity else replace(model, identity=identity)


def build_app(  # noqa: PLR0913 - as build_predictor
    model: ServedModel,
    log: SegmentWriter | None = None,
    *,
    log_to_disk: bool = False,
    guards: Guards | None = None,
    lookup: FeatureLookup | None = None,
    takes_ready: bool = False,
) -> Api:
    """The HTTP application of one model."""
    predictor = build_predictor(model, log, log_to_disk=log_to_disk, lookup=lookup, takes_ready=takes_ready)
    return http_api(predictor, metrics_of(predictor), guards or Guards())


def metrics_of(predictor: Predictor, server: str = "predictor") -> ServerMetrics:
    """What a server of a model counts, of all protocols together."""
    who = predictor.identity
    return ServerMetrics(server, {"server": server, "model": who.model_name, "version": who.version})


def http_api(predictor: Predictor, metrics: ServerMetrics, guards: Guards) -> Api:
    """The HTTP application of a predictor."""
    who = predictor.identity
    told = {
        "/": {"status": "alive"},
        "/version": who.model_dump(mode="json"),
        "/health/live": {"status": "live"},
        "/health/ready": {"status": "ready", "version": who.version},
        "/openapi.json": openapi(who, predictor.columns, tokens=guards.tokens.asked, by_id=predictor.by_id),
        "/v1/models": {"models": [who.model_name]},
        f"/v1/models/{who.model_name}": {"name": who.model_name, "ready": True},
        "/v2": predictor.server_metadata,
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        f"/v2/models/{who.model_name}": predictor.model_metadata,
        f"/v2/models/{who.model_name}/ready": {"name": who.model_name, "ready": True},
    }
    routes: dict[str, Mapping[str, Route]] = {
        path: {"GET": Route(_telling(value), open=True)} for path, value in told.items()
    }
    if predictor.takes_ready:
        routes[ENCODING_PATH] = {"GET": Route(_telling(predictor.encoding))}
    routes["/metrics"] = {"GET": Route(_metrics(metrics), open=True)}
    for path in ("/predict", "/predictions"):
        routes[path] = {"POST": Route(predictor.predict)}
    routes[f"/v1/models/{who.model_name}:predict"] = {"POST": Route(predictor.predict_v1)}
    for path in ("infer", f"versions/{who.version}/infer"):
        routes[f"/v2/models/{who.model_name}/{path}"] = {"POST": Route(predictor.predict_v2)}
    return Api(routes, metrics, guards)


def _telling(value: Any) -> Any:
    content = orjson.dumps(value)

    async def tell(_: Call) -> Answer:
        return Answer(content)

    return tell


def _metrics(metrics: ServerMetrics) -> Any:
    async def tell(_: Call) -> Answer:
        return Answer(metrics.text(), content_type=TEXT)

    return tell
