"""The predictor's HTTP interface."""

from __future__ import annotations

import json
import uuid
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from lakeloop.domain.errors import UserError
from lakeloop.domain.rollout import Identity
from lakeloop.serving.model import ServedModel, xgboost_version
from lakeloop.serving.rows import InvalidRequest, json_schema, parse_request

ROWS_ANSWERED_INLINE = 64
"""More rows go to a thread, so that other requests and the probes are answered meanwhile."""
MAX_BODY_BYTES = 16 * 2**20


def build_app(model: ServedModel) -> FastAPI:
    """The application of one model; the model never changes while it runs."""
    app = FastAPI(title=f"{model.identity.model_name} v{model.identity.version}", redoc_url=None)
    ready = {"status": "ready", "version": model.identity.version}
    served = model.identity.model_copy(update={"xgboost_version": xgboost_version()})

    @app.get("/version")
    async def version() -> Identity:
        """Which model answers, and the snapshots that it comes from."""
        return served

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @app.get("/health/ready")
    async def is_ready() -> dict[str, str]:
        """The model is loaded; it is before the port opens."""
        return ready

    @app.post("/predict", openapi_extra=_request_body(model))
    async def predict(request: Request) -> Response:
        """Scores of raw rows, with the version and the snapshot behind them."""
        return await _predict(model, request)

    return app


def _request_body(model: ServedModel) -> dict[str, Any]:
    schema = json_schema(model.encoding.source_columns)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def _predict(model: ServedModel, request: Request) -> Response:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            return _json(413, {"error": f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer rows"})
    try:
        rows = parse_request(body, model.encoding.source_columns)
        inline = len(rows) <= ROWS_ANSWERED_INLINE
        scores = model.scores(rows) if inline else await run_in_threadpool(model.scores, rows)
    except (InvalidRequest, UserError) as error:
        return _json(422, {"error": str(error)})
    return _json(200, _answer(model.identity, scores))


def _answer(identity: Identity, scores: list[float]) -> dict[str, Any]:
    return {
        "scores": scores,
        "model_version": identity.version,
        "snapshot_id": identity.to_snapshot_id,
        "prediction_ids": [uuid.uuid4().hex for _ in scores],
    }


def _json(status: int, content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), status_code=status, media_type="application/json")
