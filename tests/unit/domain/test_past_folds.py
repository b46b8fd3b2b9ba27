"""Folds over stretches of an entity's rows: the bits that the blocks give, whichever way they are computed."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from lakeloop.domain.past_folds import Join, Stretches, folded

numbers = st.one_of(st.floats(-1e9, 1e9), st.just(-0.0), st.just(1e300), st.just(-1e300))
entities = st.lists(st.lists(numbers, max_size=40), min_size=1, max_size=6)


def by_blocks(values: list[float], join: Join, neutral: float) -> float:
    """The definition: the largest block of 1, 2, 4, ... rows first, before all that follow it."""
    if not values:
        return neutral
    if len(values) == 1:
        return float(join(np.array([neutral]), np.array(values))[0])
    block = 1 << (len(values) - 1).bit_length() - 1
    parts = [by_blocks(part, join, neutral) for part in (values[:block], values[block:])]
    return float(join(np.array(parts[:1]), np.array(parts[1:]))[0])


@pytest.mark.parametrize(("join", "neutral"), [(np.add, 0.0), (np.minimum, np.inf), (np.maximum, -np.inf)])
@settings(max_examples=60, deadline=None)
@given(rows=entities, few=st.booleans(), data=st.data())
def test_stretches_from_the_first_row_have_the_bits_of_their_blocks(
    join: Join, neutral: float, rows: list[list[float]], few: bool, data: st.DataObject
) -> None:
    sizes = [len(values) for values in rows]
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    asked = [(e, n) for e, size in enumerate(sizes) for n in range(size + 1)]
    if few:
        asked = [data.draw(st.sampled_from(asked))]
    entity, lengths = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    level = np.array([v for values in rows for v in values], np.float64)
    found = folded(level, Stretches(starts, None, starts[entity] + lengths, entity), join, neutral)
    wanted = np.array([by_blocks(rows[e][:n], join, neutral) for e, n in asked])
    assert (found.view(np.int64) == wanted.view(np.int64)).all()
    same = folded(level, Stretches(starts, starts[entity], starts[entity] + lengths, entity), join, neutral)
    assert (same.view(np.int64) == found.view(np.int64)).all()
