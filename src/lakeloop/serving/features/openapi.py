"""The features API's OpenAPI document."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.online import ENTITY_ID_PATTERN
from lakeloop.serving.openapi_parts import ERROR, METRICS, content, document, refusals, telling

_ID = {"type": "string", "pattern": ENTITY_ID_PATTERN}
_VALUE = {"type": ["number", "string", "null"]}
_ENTITY_PROPERTIES: dict[str, Any] = {
    "id": {"type": "string"},
    "event_time": {"type": ["string", "null"], "description": "Of the entity's latest row."},
    "features": {"type": "object", "additionalProperties": _VALUE},
}
_AS_OF = {
    "type": "object",
    "properties": {
        "snapshot_id": {"type": "string"},
        "feature_snapshot_id": {"type": "string"},
        "computed_at": {"type": "string", "format": "date-time"},
        "feature_hash": {"type": "string"},
    },
    "required": ["snapshot_id", "feature_snapshot_id", "computed_at", "feature_hash"],
}


def openapi(use_case: str, max_ids: int, *, tokens: bool) -> dict[str, Any]:
    """The document.

    Args:
        use_case: whose features.
        max_ids: in one request.
        tokens: whether callers need one.
    """
    unknown = {"description": "No entity has this id.", "content": content(ERROR)}
    one = _object({**_ENTITY_PROPERTIES, "as_of": _AS_OF})
    entity = {"anyOf": [_object(_ENTITY_PROPERTIES), {"type": "null"}]}
    many = _object({"entities": {"type": "array", "items": entity}, "as_of": _AS_OF})
    ids = {"type": "array", "minItems": 1, "maxItems": max_ids, "items": _ID}
    asked = {**_object({"ids": ids}), "additionalProperties": False}
    paths = {
        "/features/{id}": {
            "get": {
                "summary": "One entity's features",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": _ID}],
                "responses": {
                    "200": {"description": "Features", "content": content(one)},
                    "404": unknown,
                    **refusals("401", "422", "500", "503"),
                },
            }
        },
        "/features": {
            "post": {
                "summary": "Many entities' features, in the ids' order; null for an unknown id",
                "requestBody": {"required": True, "content": content(asked)},
                "responses": {
                    "200": {"description": "Features", "content": content(many)},
                    **refusals("400", "401", "408", "413", "422", "500", "503"),
                },
            }
        },
        "/health/live": telling("The process answers"),
        "/health/ready": _ready(),
        "/metrics": METRICS,
    }
    return document(f"features of {use_case}", "1", paths, tokens=tokens)


def _ready() -> dict[str, Any]:
    operation = telling("Features are published")["get"]
    return {"get": {**operation, "responses": {**operation["responses"], **refusals("500", "503")}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
