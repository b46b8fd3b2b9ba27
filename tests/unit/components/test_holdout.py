"""The holdout of a large range is the one of the whole range, read in two passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.feature_rows import LABEL_COLUMN, RowLayout
from lakeloop.domain.features import FeatureSpec
from lakeloop.training import holdout

LAYOUT = RowLayout(("at", "id"), (FeatureSpec(name="amount"),))
ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 5), st.integers(0, 9), st.sampled_from([0.0, 1.0])),
    min_size=1,
    max_size=40,
)


def reader(rows: list[tuple[int | None, int, float]]) -> holdout.Read:
    values = {
        "at": pa.array([r[0] for r in rows], pa.int64()),
        "id": pa.array([r[1] for r in rows], pa.int64()),
        LABEL_COLUMN: pa.array([r[2] for r in rows]),
        "amount": pa.array([r[1] * 0.5 for r in rows]),
    }

    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        table = pa.table({name: values[name] for name in columns})
        yield from table.to_batches(max_chunksize=7)

    return read


def held(read: holdout.Read, rows: int, fraction: float) -> list[tuple[object, ...]]:
    found, chosen, labels = holdout.read_holdout(read, LAYOUT, rows, fraction)
    assert len(labels) == rows
    order = found.order_columns.take(pa.array(chosen))
    return list(zip(*order.to_pydict().values(), found.labels[chosen].tolist(), strict=True))


@settings(deadline=None)
@given(ROWS, st.floats(0.05, 0.9))
def test_both_ways_hold_out_the_same_rows(rows: list[tuple[int | None, int, float]], fraction: float) -> None:
    read = reader(rows)
    whole = held(read, len(rows), fraction)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holdout, "LARGE_ROWS", 0)
        assert held(read, len(rows), fraction) == whole


def test_a_large_range_is_not_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout, "LARGE_ROWS", 100)
    rng = np.random.default_rng(1)
    rows = [(int(at), i, float(i % 2)) for i, at in enumerate(rng.permutation(1000))]
    found, chosen, labels = holdout.read_holdout(reader(rows), LAYOUT, 1000, 0.2)
    assert (len(found), len(chosen), len(labels)) == (200, 200, 1000)
    with pytest.raises(LakeloopError, match="999"):
        holdout.read_holdout(reader(rows[:-1]), LAYOUT, 1000, 0.2)
