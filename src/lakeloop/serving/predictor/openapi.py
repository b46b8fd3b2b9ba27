"""The predictor's OpenAPI document: the columns of this very model, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.domain.online import ENTITY_ID_PATTERN
from lakeloop.domain.rollout import Identity
from lakeloop.serving.openapi_parts import METRICS, content, document, refusals, telling
from lakeloop.serving.predictor.lookup import MAX_IDS
from lakeloop.serving.rows import MAX_ROWS, json_schema

_TEXTS = {"type": "array", "items": {"type": "string"}}
_NUMBERS = {"type": "array", "items": {"type": "number"}}
_REFUSED = ("400", "401", "404", "408", "409", "413", "422", "500", "503")


def openapi(identity: Identity, columns: Mapping[str, str], *, tokens: bool, by_id: bool) -> dict[str, Any]:
    """The document.

    Args:
        identity: of the model.
        columns: raw columns a caller sends -> their type.
        tokens: whether callers need one.
        by_id: whether they may send ids.
    """
    name = identity.model_name
    row = json_schema(columns)["properties"]["rows"]["items"]
    v2 = f"/v2/models/{name}"
    paths = {
        "/predict": _post("Scores of raw rows, or by id", _rows_or_ids(columns, by_id), _own(), explain=True),
        "/predictions": _post(
            "Scores of raw rows, or by id", _rows_or_ids(columns, by_id), _own(), explain=True
        ),
        f"/v1/models/{name}:predict": _post("KServe's v1 form", _v1(row, len(columns)), _v1_answer()),
        f"{v2}/infer": _post("Open Inference Protocol v2", _v2(name, columns), _v2_answer()),
        f"{v2}/versions/{identity.version}/infer": _post(
            "The same, naming the version", _v2(name, columns), _v2_answer()
        ),
        "/": telling("The process answers: KServe's v1 form"),
        "/version": telling("Which model answers, and the snapshots that it comes from"),
        "/health/live": telling("The process answers"),
        "/health/ready": telling("The model is loaded; it is before the port opens"),
        "/v1/models": telling("Names"),
        f"/v1/models/{name}": telling("Whether it is ready"),
        "/v2": telling("The server"),
        "/v2/health/live": telling("The process answers"),
        "/v2/health/ready": telling("The model is loaded"),
        v2: telling("Inputs and outputs"),
        f"{v2}/ready": telling("Whether it is ready"),
        "/metrics": METRICS,
    }
    return document(f"{name} v{identity.version}", identity.version, paths, tokens=tokens)


def _post(
    summary: str, body: dict[str, Any], answer: dict[str, Any], *, explain: bool = False
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "requestBody": {"required": True, "content": content(body)},
        "responses": {"200": {"description": "Scores", "content": content(answer)}, **refusals(*_REFUSED)},
    }
    if explain:
        flag = {"type": "string", "enum": ["true", "false"]}
        operation["parameters"] = [
            {
                "name": "explain",
                "in": "query",
                "required": False,
                "schema": flag,
                "description": "TreeSHAP too",
            }
        ]
    return {"post": operation}


def _rows_or_ids(columns: Mapping[str, str], by_id: bool) -> dict[str, Any]:
    one = {"type": "string", "pattern": ENTITY_ID_PATTERN}
    ids = {"type": "array", "minItems": 1, "maxItems": MAX_IDS, "items": one}
    asked = {"type": "object", "properties": {"ids": ids}, "required": ["ids"], "additionalProperties": False}
    rows = json_schema(columns)
    return {"anyOf": [rows, asked]} if by_id else rows


def _own() -> dict[str, Any]:
    explained = {
        "type": "object",
        "properties": {
            "bias": {"type": "number"},
            "contributions": {"type": "object", "additionalProperties": {"type": "number"}},
        },
        "required": ["bias", "contributions"],
    }
    properties = {
        "scores": _NUMBERS,
        "decisions": {"type": "array", "items": {"type": "boolean"}},
        "model_version": {"type": "string"},
        "snapshot_id": {"type": "string"},
        "prediction_ids": _TEXTS,
    }
    return {
        "type": "object",
        "properties": {**properties, "explanations": {"type": "array", "items": explained}},
        "required": list(properties),
    }


def _v1(row: dict[str, Any], columns: int) -> dict[str, Any]:
    values = list(row["properties"].values())
    listed = {
        "type": "array",
        "prefixItems": values,
        "items": False,
        "minItems": columns,
        "maxItems": columns,
    }
    instances = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": {"anyOf": [row, listed]}}
    return {
        "type": "object",
        "properties": {"instances": instances, "parameters": {"type": "object"}},
        "required": ["instances"],
        "additionalProperties": False,
    }


def _v1_answer() -> dict[str, Any]:
    properties = {
        "predictions": _NUMBERS,
        "model_version": {"type": "string"},
        "snapshot_id": {"type": "string"},
        "prediction_ids": _TEXTS,
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _v2(model: str, columns: Mapping[str, str]) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": list(columns)},
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1},
                "minItems": 1,
                "maxItems": 2,
            },
            "datatype": {"type": "string"},
            "data": {"type": "array", "minItems": 1, "maxItems": MAX_ROWS},
            "parameters": {"type": "object"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    return {
        "type": "object",
        "description": "One tensor a column, of shape [rows] or [rows, 1]. With header "
        "Inference-Header-Content-Length (bytes of the JSON), tensors without data stand as bytes behind the JSON, "
        "each of parameters.binary_data_size.",
        "properties": {
            "id": {"type": "string"},
            "model_name": {"type": "string", "enum": [model]},
            "inputs": {"type": "array", "minItems": len(columns), "maxItems": len(columns), "items": tensor},
            "outputs": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "required": ["inputs"],
        "additionalProperties": False,
    }


def _v2_answer() -> dict[str, Any]:
    tensor = {"type": "object", "required": ["name", "shape", "datatype", "data"]}
    properties = {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": tensor},
        "parameters": {"type": "object"},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": ["model_name", "model_version", "outputs"],
    }
