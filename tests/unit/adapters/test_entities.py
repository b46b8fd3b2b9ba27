"""Which rows belong to some entities: as a set says it, whatever the type, the span and the nulls."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from lakeloop.adapters.in_process.entities import among

BOUNDS = {
    pa.int8(): (-(2**7), 2**7 - 1),
    pa.int32(): (-(2**31), 2**31 - 1),
    pa.int64(): (-(2**63), 2**63 - 1),
}


def check(values: list[Any], wanted: set[Any], kind: pa.DataType) -> None:
    rows, distinct = pa.array(values, kind), pa.array(sorted(wanted), kind)
    expected = [value in wanted for value in values]
    for given_rows in (rows, pa.chunked_array([rows.slice(0, 3), rows.slice(3)], kind)):
        assert among(given_rows, distinct).to_pylist() == expected


@pytest.mark.parametrize("kind", BOUNDS, ids=str)
@given(data=st.data())
def test_whole_numbers(kind: pa.DataType, data: st.DataObject) -> None:
    low, high = BOUNDS[kind]
    numbers = st.one_of(st.integers(-5, 5), st.integers(low, high), st.sampled_from([low, high]))
    near = st.sets(st.one_of(st.integers(-5, 5), st.integers(max(low, -200), min(high, 200))), max_size=9)
    check(data.draw(st.lists(numbers, max_size=20)), data.draw(st.one_of(near, st.sets(numbers))), kind)
    check(data.draw(st.lists(st.one_of(st.none(), numbers))), data.draw(near), kind)


@given(values=st.lists(st.one_of(st.none(), st.text(max_size=2))), wanted=st.sets(st.text(max_size=2)))
def test_texts(values: list[str | None], wanted: set[str]) -> None:
    check(values, wanted, pa.string())
