"""Rows that equality deletes match, against the plain definition."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.adapters.iceberg.equality_deletes import _matching

VALUES = st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from(["a", "b", "c"]))
MANY = st.lists(VALUES, min_size=1, max_size=30)


def columns(rows: list[tuple[Any, ...]]) -> list[pa.Array]:
    return [pa.array([r[0] for r in rows], pa.int64()), pa.array([r[1] for r in rows], pa.string())]


@settings(deadline=None)
@given(MANY, MANY, st.integers(1, 2))
def test_a_row_matches_where_all_compared_values_are_those_of_one_key(
    rows: list[tuple[Any, ...]], keys: list[tuple[Any, ...]], width: int
) -> None:
    wanted = {key[:width] for key in keys}
    found = _matching(columns(rows)[:width], [pa.chunked_array([c]) for c in columns(keys)[:width]])
    assert found.tolist() == [row[:width] in wanted for row in rows]
