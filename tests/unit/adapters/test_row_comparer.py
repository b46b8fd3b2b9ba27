"""Comparing rows with DuckDB: against a plain multiset."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.adapters.duckdb.comparer import DuckdbRowComparer

SCHEMA = pa.schema([("id", pa.int64()), ("side", pa.string()), ("x", pa.float64())])
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(["a", "b", None]), st.sampled_from([0.5, 1.0, math.inf, None])
    ),
    max_size=8,
)


def batches(rows: list[tuple[object, ...]], schema: pa.Schema = SCHEMA) -> Iterator[pa.RecordBatch]:
    names = schema.names
    yield pa.RecordBatch.from_pylist([], schema=schema)
    for row in rows:
        yield pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True))], schema=schema)


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_changes_are_those_of_multisets(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    changes = DuckdbRowComparer().compare(batches(before), batches(after), ["id"], most_rows=100)
    come, gone = Counter(after) - Counter(before), Counter(before) - Counter(after)
    assert (changes.added, changes.removed) == (come.total(), gone.total())
    assert {tuple(r.values()) for r in changes.added_rows} == set(come)
    assert {tuple(r.values()) for r in changes.removed_rows} == set(gone)
    assert changes.changed_keys == len({r[0] for r in come} & {r[0] for r in gone})


def test_statistics_of_every_type() -> None:
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    schema = pa.schema(
        [
            ("n", pa.int32()),
            ("x", pa.float64()),
            ("at", pa.timestamp("us", "Europe/Madrid")),
            ("s", pa.string()),
            ("l", pa.list_(pa.int64())),
            ("b", pa.bool_()),
        ]
    )
    rows = [
        (1, 0.5, noon, "a", [1], True),
        (4, math.inf, None, "ñ", None, False),
        (None, 1.5, noon, "a", [2], None),
    ]
    found = {s.name: s for s in DuckdbRowComparer().statistics(batches(rows, schema))}
    assert (found["n"].count, found["n"].nulls, found["n"].min, found["n"].max) == (2, 1, "1", "4")
    assert (found["n"].mean, found["x"].mean, found["s"].mean) == (2.5, 1.0, None)
    assert (found["at"].min, found["at"].distinct) == ("2026-01-01 12:00:00", 1)
    assert (found["s"].min, found["s"].max, found["s"].distinct) == ("a", "ñ", 2)
    assert (found["l"].count, found["l"].min, found["b"].max) == (2, None, "true")
