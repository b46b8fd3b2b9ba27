"""The predictor's HTTP interface: one model, three protocols."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import orjson

from lakeloop.serving.api import TEXT, Answer, Api, Call, Guards, Route, in_thread, json_answer
from lakeloop.serving.http import Refused
from lakeloop.serving.metrics import ServerMetrics
from lakeloop.serving.model import ServedModel, xgboost_version
from lakeloop.serving.prediction_log.segments import SegmentWriter
from lakeloop.serving.predictor import protocols
from lakeloop.serving.predictor.batching import ROWS_IN_LOOP, Batcher, Form, Scored, Sent
from lakeloop.serving.predictor.explaining import MAX_EXPLAINED_ROWS, explain
from lakeloop.serving.predictor.lookup import MAX_IDS, FeatureLookup
from lakeloop.serving.predictor.openapi import openapi
from lakeloop.serving.rows import MAX_ROWS, InvalidRequest, counted, parse_json


class Predictor:
    """Answers for one model; the model never changes while it runs."""

    def __init__(self, model: ServedModel, batcher: Batcher, lookup: FeatureLookup | None = None) -> None:
        self._model, self._batcher, self._lookup = model, batcher, lookup
        self._columns = model.encoding.source_columns
        self.identity = model.identity.model_copy(update={"xgboost_version": xgboost_version()})

    async def predict(self, call: Call) -> Answer:
        """Rows or ids -> scores, decisions, version, snapshot, prediction ids; `?explain=true`: TreeSHAP too."""
        request = parse_json(call.body)
        explained = bool(call.query) and _flag(call.query, "explain")
        if "ids" in request:
            matrix, scored = await self._scored_by_id(call, counted(request, "ids", MAX_IDS))
        else:
            rows = counted(request, "rows", MAX_EXPLAINED_ROWS if explained else MAX_ROWS)
            matrix, scored = await self._scored(call, "rows", rows)
        explanation = await in_thread(explain, self._model, matrix) if explained else None
        return Answer(orjson.dumps(protocols.own_answer(self.identity, scored, explanation)))

    async def predict_v1(self, call: Call) -> Answer:
        """KServe's v1 form."""
        rows = protocols.v1_rows(parse_json(call.body))
        _, scored = await self._scored(call, "v1", rows)
        return json_answer(protocols.v1_answer(self.identity, scored))

    async def predict_v2(self, call: Call) -> Answer:
        """The Open Inference Protocol."""
        request = parse_json(call.body)
        _, scored = await self._scored(call, "v2", protocols.v2_rows(request, self._columns))
        return json_answer(protocols.v2_answer(request, self.identity, scored))

    async def _scored_by_id(self, call: Call, ids: list[Any]) -> tuple[np.ndarray[Any, Any], Scored]:
        if self._lookup is None:
            raise Refused(422, "this endpoint has no features to look up: send rows")
        call.rows = len(ids)
        matrix, inputs = await in_thread(self._lookup.matrix, ids)
        sent = Sent("ids", b"", _purpose(call), inputs)
        return matrix, await self._batcher.score(matrix, sent)

    async def _scored(self, call: Call, form: Form, rows: list[Any]) -> tuple[np.ndarray[Any, Any], Scored]:
        call.rows = len(rows)
        listed = form == "v1"
        if len(rows) > ROWS_IN_LOOP or self._model.compiled is None:
            matrix = await in_thread(partial(self._model.matrix, listed=listed), rows)
        else:
            matrix = self._model.matrix(rows, listed=listed)
        return matrix, await self._batcher.score(matrix, Sent(form, call.body, _purpose(call)))


def _purpose(call: Call) -> str:
    """`proof` where the caller says that nobody acts on the answer; the log keeps it."""
    told = next((value for name, value in call.headers if name == b"lakeloop-purpose"), b"")
    return "proof" if told == b"proof" else ""


def _flag(query: bytes, name: str) -> bool:
    """The one parameter that there is; a misspelt one is refused, not passed over."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if any(known != name or value not in {"true", "false"} for known, value in given) or len(given) > 1:
        raise InvalidRequest(f"the only parameter is {name}, which is true or false")
    return given == [(name, "true")]


def build_app(
    model: ServedModel,
    log: SegmentWriter | None = None,
    *,
    log_to_disk: bool = False,
    guards: Guards | None = None,
    lookup: FeatureLookup | None = None,
) -> Api:
    """The application of one model; `lookup` where callers may send ids."""
    guards = guards or Guards()
    predictor = Predictor(model, Batcher(model.predict, log, log_to_disk=log_to_disk), lookup)
    who = predictor.identity
    metrics = ServerMetrics(
        "predictor", {"server": "predictor", "model": who.model_name, "version": who.version}
    )
    document = openapi(
        who, model.encoding.source_columns, tokens=guards.tokens.asked, by_id=lookup is not None
    )
    told = {
        "/version": who.model_dump(mode="json"),
        "/health/live": {"status": "live"},
        "/health/ready": {"status": "ready", "version": who.version},
        "/openapi.json": document,
        "/v1/models": {"models": [who.model_name]},
        f"/v1/models/{who.model_name}": {"name": who.model_name, "ready": True},
        "/v2": {"name": "lakeloop", "version": _version(), "extensions": []},
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        f"/v2/models/{who.model_name}": protocols.v2_metadata(who, model.encoding.source_columns),
        f"/v2/models/{who.model_name}/ready": {"name": who.model_name, "ready": True},
    }
    routes: dict[str, Mapping[str, Route]] = {
        path: {"GET": Route(_telling(value), open=True)} for path, value in told.items()
    }
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


def _version() -> str:
    from importlib.metadata import version

    return version("lakeloop")
