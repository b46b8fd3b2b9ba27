"""A training that would take the machine down is refused before it begins."""

from __future__ import annotations

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.domain.training_memory import refuse_too_large, training_bytes
from lakeloop.domain.use_case import UseCase
from tests.unit.components.test_train_model import training_set, use_case

GIB = 2**30


def test_a_hundred_million_rows_are_refused_where_they_do_not_fit() -> None:
    case, rows = use_case(), training_set(rows=100_000_000)
    with pytest.raises(UserError) as caught:
        refuse_too_large(case, rows, 8 * GIB)
    told = str(caught.value)
    assert "100000000 rows of 3 features" in told
    assert "8.0 GiB are free" in told
    assert "train.engine: spark" in told
    assert "train.window" in told
    refuse_too_large(case, rows, training_bytes(case, rows))
    refuse_too_large(case, rows, None)


def test_texts_and_ranges_cost_and_a_sample_spares() -> None:
    document = use_case().model_dump(mode="json")
    document["features"][2]["type"] = "categorical"
    texts = UseCase.model_validate(document)
    one = training_bytes(use_case(), training_set(rows=1000))
    assert training_bytes(use_case(), training_set(rows=1000, ranges=("old", "new"))) > one
    assert training_bytes(texts, training_set(rows=1000)) > one
    window = {"policy": "replay", "fraction": 0.1}
    both = training_set(rows=1000, ranges=("old", "new"), newest_rows=100)
    assert training_bytes(use_case(window=window), both) < 0.2 * training_bytes(use_case(), both)
