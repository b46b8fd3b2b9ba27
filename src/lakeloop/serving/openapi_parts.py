"""Parts that the OpenAPI documents of the servers share (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
_REFUSALS = {
    "400": "The caller went away.",
    "401": "No token, or a wrong one.",
    "404": "No entity has this id.",
    "408": "The body did not arrive in time.",
    "409": "The published features have other definitions than the model's.",
    "413": "The body is too large.",
    "422": "The request is not valid; the text names the place.",
    "500": "The server failed.",
    "503": "Too busy, or what it needs does not answer; try again.",
}


def content(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON of a schema."""
    return {"application/json": {"schema": schema}}


def refusals(*statuses: str) -> dict[str, Any]:
    """Responses by status, each `{"error": ...}`."""
    return {status: {"description": _REFUSALS[status], "content": content(ERROR)} for status in statuses}


def telling(summary: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """A GET without parameters that answers JSON."""
    answered = {"description": summary, "content": content(schema or {"type": "object"})}
    return {"get": {"summary": summary, "security": [], "responses": {"200": answered}}}


def document(title: str, version: str, paths: dict[str, Any], *, tokens: bool) -> dict[str, Any]:
    """The whole document; with `tokens` every call that does not say otherwise needs one."""
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
    }
    if tokens:
        whole["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        whole["security"] = [{"token": []}]
    return whole


METRICS = {
    "get": {
        "summary": "Prometheus metrics",
        "security": [],
        "responses": {
            "200": {"description": "Text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
        },
    }
}
