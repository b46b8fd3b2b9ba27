"""Requests against the description: unknown fields and wrong types are refused; lists are filtered and paged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.emulators.cai.description import MESSAGES, Operation
from tests.emulators.cai.errors import ApiError

PAGE_SIZE, MOST_PER_PAGE = 10, 50


def check_body(operation: Operation, body: Any) -> None:
    """The body is such a message.

    Raises:
        ApiError: 400, naming the field.
    """
    if operation.body:
        _check_message(operation.body, body, operation.body)
    elif body not in (None, {}):
        raise ApiError(400, f"{operation.id} takes no body")


def _check_message(message: str, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise ApiError(400, f"{where}: expected an object")
    for name, item in value.items():
        type_ = MESSAGES[message].get(name)
        if type_ is None:
            raise ApiError(400, f'unknown field "{name}" in {message}')
        if item is not None:
            _check_value(type_, item, f"{where}.{name}")


def _check_value(type_: str, value: Any, where: str) -> None:
    wrong = False
    if type_.startswith("["):
        if not isinstance(value, list):
            raise ApiError(400, f"{where}: expected a list")
        for item in value:
            _check_value(type_.strip("[]"), item, where)
    elif type_ in {"string", "time"}:
        wrong = not isinstance(value, str)
    elif type_ == "bool":
        wrong = not isinstance(value, bool)
    elif type_ in {"int32", "int64", "double"}:
        wrong = isinstance(value, bool) or not _number(value, whole=type_ != "double")
    elif type_ == "map":
        wrong = not isinstance(value, dict) or any(not isinstance(v, str) for v in value.values())
    elif type_ in MESSAGES:
        _check_message(type_, value, where)
    else:
        wrong = not isinstance(value, str)
    if wrong:
        raise ApiError(400, f"proto: {where}: invalid value for {type_}: {value!r}")


def _number(value: Any, *, whole: bool) -> bool:
    """Protobuf's JSON takes numbers also as strings."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return not whole or number == int(number)


def check_query(operation: Operation, query: Mapping[str, str]) -> None:
    """Only parameters of the description, and keys that the endpoint knows.

    Raises:
        ApiError: 400, naming the parameter or key.
    """
    known = {*operation.query}
    known |= {"page_size", "page_token"} if operation.paged else set()
    known |= {"search_filter"} if operation.filters is not None else set()
    known |= {"sort"} if operation.sorts is not None else set()
    for name in query:
        if name not in known:
            raise ApiError(400, f"unknown query parameter {name!r} of {operation.id}")
    for key in _filter(query):
        if operation.filters and key not in operation.filters.split():
            raise ApiError(400, f"search_filter key {key!r} is not supported by {operation.id}")
    for part in filter(None, query.get("sort", "").split(",")):
        if part.lstrip("+-") not in (operation.sorts or "").split():
            raise ApiError(400, f"sort key {part!r} is not supported by {operation.id}")


def _filter(query: Mapping[str, str]) -> dict[str, str]:
    text = query.get("search_filter", "")
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ApiError(400, f"search_filter is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(400, "search_filter must be an object")
    return {key: str(value) for key, value in found.items()}


def page(
    items: list[dict[str, Any]], query: Mapping[str, str], aliases: Mapping[str, str]
) -> tuple[list[dict[str, Any]], str]:
    """Filtered by substring, sorted where asked (else in no order that means anything), one page of it."""
    wanted = {aliases.get(key, key): text for key, text in _filter(query).items()}
    found = [i for i in items if all(text in str(_at(i, key)) for key, text in wanted.items())]
    found.sort(key=lambda item: str(item.get("id") or item.get("model_version_id") or "")[::-1])
    for part in reversed([p for p in query.get("sort", "").split(",") if p]):
        found.sort(key=partial(_text_at, part.lstrip("+-")), reverse=part.startswith("-"))
    size = max(1, min(int(query.get("page_size") or PAGE_SIZE), MOST_PER_PAGE))
    start = int(query.get("page_token") or 0)
    token = str(start + size) if start + size < len(found) else ""
    return found[start : start + size], token


def _text_at(key: str, item: Mapping[str, Any]) -> str:
    return str(_at(item, key))


def _at(item: Mapping[str, Any], key: str) -> Any:
    value: Any = item
    for part in key.split("."):
        value = value.get(part, "") if isinstance(value, Mapping) else ""
    return value
