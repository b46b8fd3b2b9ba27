"""What a predictor answers, and its HTTP interface: one model, three protocols."""

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
from lakeloop.serving.predictor import binary_tensors, protocols
from lakeloop.serving.predictor.batching import ROWS_IN_LOOP, Batcher, Form, Scored, Sent
from lakeloop.serving.predictor.explaining import MAX_EXPLAINED_ROWS, explain
from lakeloop.serving.predictor.lookup import MAX_IDS, FeatureLookup
from lakeloop.serving.predictor.openapi import openapi
from lakeloop.serving.rows import MAX_ROWS, InvalidRequest, counted, parse_json


class Predictor:
    """Answers for one model; the model never changes while it runs."""

    def __init__(self, model: ServedModel, batcher: Batcher, lookup: FeatureLookup | None = None) -> None:
        self._model, self._batcher, self._lookup = model, batcher, lookup
        self.columns: Mapping[str, str] = model.encoding.source_columns
        self.identity = model.identity.model_copy(update={"xgboost_version": xgboost_version()})
        self.by_id = lookup is not None

    @property
    def server_metadata(self) -> dict[str, Any]:
        """Name, version and extensions, as the Open Inference Protocol has them."""
        return {"name": "lakeloop", "version": _version(), "extensions": [binary_tensors.EXTENSION]}

    @property
    def model_metadata(self) -> dict[str, Any]:
        """Inputs and outputs, as the Open Inference Protocol has them."""
        return protocols.v2_metadata(self.identity, self.columns)

    async def predict(self, call: Call) -> Answer:
        """Rows or ids -> scores, decisions, version, snapshot, prediction ids; `?explain=true`: TreeSHAP too."""
        request = parse_json(call.body)
        explained = bool(call.query) and _flag(call.query, "explain")
        if "ids" in request:
            matrix, scored = await self._scored_by_id(call, counted(request, "ids", MAX_IDS))
        else:
            rows = counted(request, "rows", MAX_EXPLAINED_ROWS if explained else MAX_ROWS)
            matrix, scored = await self._scored(call, "rows", rows, call.body)
        explanation = await in_thread(explain, self._model, matrix) if explained else None
        return Answer(orjson.dumps(protocols.own_answer(self.identity, scored, explanation)))

    async def predict_v1(self, call: Call) -> Answer:
        """KServe's v1 form."""
        rows = protocols.v1_rows(parse_json(call.body))
        _, scored = await self._scored(call, "v1", rows, call.body)
        return json_answer(protocols.v1_answer(self.identity, scored))

    async def predict_v2(self, call: Call) -> Answer:
        """The Open Inference Protocol over REST; tensors may stand as bytes behind the JSON."""
        json_bytes = _header(call, binary_tensors.HEADER)
        if json_bytes is None:
            return json_answer(await self.infer(call, parse_json(call.body), call.body))
        request = binary_tensors.split_body(call.body, json_bytes)
        return json_answer(await self.infer(call, request, orjson.dumps(request)))

    async def infer(self, call: Call, request: dict[str, Any], body: bytes) -> dict[str, Any]:
        """The Open Inference Protocol, however it came.

        Args:
            call: it.
            request: in the REST form's JSON values, as is the answer.
            body: the same in bytes, for the log.

        Raises:
            InvalidRequest: the request cannot be answered.
            Refused: it is for another model, or the prediction cannot be logged.
        """
        if "model_name" in request:
            protocols.check_model(self.identity, request["model_name"])
        rows, outputs = protocols.v2_rows(request, self.columns), protocols.v2_outputs(request)
        _, scored = await self._scored(call, "v2", rows, body)
        return protocols.v2_answer(request, self.identity, scored, outputs)

    async def _scored_by_id(self, call: Call, ids: list[Any]) -> tuple[np.ndarray[Any, Any], Scored]:
        if self._lookup is None:
            raise Refused(422, "this endpoint has no features to look up: send rows")
        call.rows = len(ids)
        matrix, inputs = await in_thread(self._lookup.matrix, ids)
        sent = Sent("ids", b"", _purpose(call), inputs)
        return matrix, await self._batcher.score(matrix, sent)

    async def _scored(
        self, call: Call, form: Form, rows: list[Any], body: bytes
    ) -> tuple[np.ndarray[Any, Any], Scored]:
        call.rows = len(rows)
        listed = form == "v1"
        if len(rows) > ROWS_IN_LOOP or self._model.compiled is None:
            matrix = await in_thread(partial(self._model.matrix, listed=listed), rows)
        else:
            matrix = self._model.matrix(rows, listed=listed)
        return matrix, await self._batcher.score(matrix, Sent(form, body, _purpose(call)))


def _purpose(call: Call) -> str:
    """`proof` where the caller says that nobody acts on the answer; the log keeps it."""
    return "proof" if _header(call, b"lakeloop-purpose") == b"proof" else ""


def _header(call: Call, name: bytes) -> bytes | None:
    return next((value for known, value in call.headers if known == name), None)


def _flag(query: bytes, name: str) -> bool:
    """The one parameter that there is; a misspelt one is refused, not passed over."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if any(known != name or value not in {"true", "false"} for known, value in given) or len(given) > 1:
        raise InvalidRequest(f"the only parameter is {name}, which is true or false")
    return given == [(name, "true")]


def build_predictor(
    model: ServedModel,
    log: SegmentWriter | None = None,
    *,
    log_to_disk: bool = False,
    lookup: FeatureLookup | None = None,
) -> Predictor:
    """The predictor of one model; `lookup` where callers may send ids."""
    return Predictor(model, Batcher(model.predict, log, log_to_disk=log_to_disk), lookup)


def build_app(
    model: ServedModel,
    log: SegmentWriter | None = None,
    *,
    log_to_disk: bool = False,
    guards: Guards | None = None,
    lookup: FeatureLookup | None = None,
) -> Api:
    """The HTTP application of one model."""
    predictor = build_predictor(model, log, log_to_disk=log_to_disk, lookup=lookup)
    return http_api(predictor, metrics_of(predictor), guards or Guards())


def metrics_of(predictor: Predictor) -> ServerMetrics:
    """What a predictor counts, of all protocols together."""
    who = predictor.identity
    return ServerMetrics(
        "predictor", {"server": "predictor", "model": who.model_name, "version": who.version}
    )


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
