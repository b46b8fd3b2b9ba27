"""A wrong use case is refused before a run writes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import UseCase
from lakeloop.preflight import check_use_case
from lakeloop.use_case_files import known_use_cases, load_use_case

ROOT = Path(__file__).resolve().parents[3]
USE_CASES = ROOT / "conf" / "use_cases"


def changed(**changes: Any) -> UseCase:
    document = load_use_case(str(USE_CASES / "card_fraud.yaml")).model_dump(mode="json")
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    return UseCase.model_validate(document)


@pytest.mark.parametrize("name", known_use_cases(USE_CASES))
def test_committed_use_cases_pass(name: str) -> None:
    check_use_case(load_use_case(str(USE_CASES / f"{name}.yaml")))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"features": [{"name": "wrong", "expression": "no_such_column + 1"}]}, "no_such_column"),
        ({"features": [{"name": "broken", "expression": "age +"}]}, "broken"),
        ({"features": [{"name": "leak", "expression": "fraud_trx * 2"}]}, "reads the label"),
        ({"features": [{"name": "leak", "expression": "raw.fraud_trx"}]}, "no column 'raw.fraud_trx'"),
        ({"features": [{"name": "all", "expression": "COLUMNS(*)"}]}, "several columns"),
        ({"features": [{"name": "whole", "expression": "hash(raw)"}]}, "no column 'raw'"),
        ({"features": [{"name": "now", "expression": "age / year(current_date)"}]}, "when it is computed"),
        (
            {"features": [{"name": "bin", "expression": "CAST(longitude / 10 AS INT)"}]},
            "say which: CAST(floor",
        ),
        ({"features": [{"name": "bin", "expression": "abs(longitude)::BIGINT"}]}, "say which: CAST(floor"),
        ({"features": [{"name": "now", "expression": "epoch(NOW()) - age"}]}, "when it is computed"),
        ({"features": [{"name": "since", "expression": "year(age(event_time))"}]}, "when it is computed"),
        ({"features": [{"name": "dice", "expression": "age + random()"}]}, "random()"),
        ({"features": ["event_time"]}, "no number"),
        ({"features": [{"name": "x", "expression": "event_time"}]}, "no number"),
        (
            {"features": [{"name": "x", "expression": "CASE WHEN age > 3 THEN 'old' ELSE 'new' END"}]},
            "no number",
        ),
        ({"train__params": {"max_dept": 3}}, "max_dept"),
        ({"train__params": {"max_depth": -1}}, "train.params"),
        ({"train__params": {"learning_rate": "fast"}}, "train.params"),
        ({"source__label__logit": "ln(no_such_column)"}, "no_such_column"),
    ],
)
def test_what_cannot_work_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError) as caught:
        check_use_case(changed(**changes))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    ["CAST(floor(longitude / 10) AS INT)", "CAST(round(longitude) AS BIGINT)", "CAST(age AS BIGINT)"],
)
def test_a_whole_number_that_every_engine_makes_alike_passes(expression: str) -> None:
    check_use_case(changed(features=[{"name": "bin", "expression": expression}]))
