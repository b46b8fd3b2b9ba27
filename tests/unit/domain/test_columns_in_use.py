"""Which columns a use case looks at."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.domain.columns_in_use import columns_in_use
from lakeloop.domain.use_case import UseCase

NAMES = ["id", "at", "y", "amount", "city", "note", "Kind"]


def use_case(**changes: Any) -> UseCase:
    document = {
        "name": "case",
        "table": {"name": "a.b", "key": ["id"], "event_time": "at"},
        "source": {"kind": "table"},
        "label": {"column": "y"},
        "features": ["amount"],
    }
    return UseCase.model_validate({**document, **changes})


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, set()),
        (
            {"features": ["amount", {"name": "f", "expression": "CASE WHEN KIND = 'city' THEN 1 END"}]},
            {"Kind"},
        ),
        (
            {
                "features": [
                    "amount",
                    {"name": "n", "as_of": {"entity": ["city", "Kind"], "aggregate": "last", "of": "note"}},
                ]
            },
            {"city", "Kind", "note"},
        ),
        ({"features": ["amount", {"name": "old", "age": "note"}]}, {"note"}),
        ({"online": {"entity": ["city", "note"]}}, {"city", "note"}),
        ({"expectations": {"not_null": ["note"]}}, {"note"}),
        ({"expectations": {"ranges": {"city": {"min": 0}}}}, {"city"}),
        ({"gate": {"slices": [{"column": "city"}]}}, {"city"}),
        (
            {
                "table": {
                    "name": "a.b",
                    "key": ["id"],
                    "event_time": "at",
                    "columns": dict.fromkeys(NAMES, "string"),
                }
            },
            set(NAMES),
        ),
    ],
)
def test_columns(changes: dict[str, Any], more: set[str]) -> None:
    assert columns_in_use(use_case(**changes), NAMES) == {"id", "at", "y", "amount", *more}
