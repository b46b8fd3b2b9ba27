"""Digests and differences of training rows: the content counts, the order of reading does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.feature_rows import FeatureRows, RowLayout, read_rows
from lakeloop.domain.features import FeatureSpec
from lakeloop.domain.row_changes import row_changes
from lakeloop.domain.rows_digest import RowsDigest, rows_digest

START = datetime(2025, 1, 1, tzinfo=UTC)
FEATURES = (FeatureSpec(name="amount", column="amount"), FeatureSpec(name="kind", column="kind"))
NAMES = ["amount", "kind"]
TABLE = pa.table(
    {
        "at": pa.array([START + timedelta(minutes=i // 3) for i in range(30)], pa.timestamp("us", "UTC")),
        "id": [f"id{i}" if i % 7 else None for i in range(30)],
        "_label": [float(i % 2) for i in range(30)],
        "amount": [None if i % 5 == 0 else i / 7 for i in range(30)],
        "kind": [None if i % 4 == 0 else "äb"[i % 2] for i in range(30)],
    }
)


def rows(table: pa.Table, chunk: int = 30) -> FeatureRows:
    layout = RowLayout(("at", "id"), FEATURES)
    return read_rows(table.to_batches(max_chunksize=chunk), layout, table.num_rows)


def digest(table: pa.Table, chunk: int = 30) -> RowsDigest:
    read = rows(table, chunk)
    return rows_digest(read, read.total_order(), NAMES)


def changed(column: str, at: int, value: Any) -> pa.Table:
    values = TABLE[column].to_pylist()
    values[at] = value
    index = TABLE.schema.get_field_index(column)
    return TABLE.set_column(index, column, pa.array(values, TABLE.schema.field(column).type))


@given(st.permutations(range(30)), st.integers(1, 30))
def test_the_order_of_reading_changes_no_digest(order: list[int], chunk: int) -> None:
    assert digest(TABLE.take(order), chunk) == digest(TABLE)


@pytest.mark.parametrize(
    ("column", "value"),
    [("amount", 99.0), ("amount", None), ("kind", "c"), ("kind", None), ("_label", 0.0), ("id", "other")],
)
def test_one_value_changes_the_digest_of_its_column(column: str, value: Any) -> None:
    before, now = digest(TABLE), digest(changed(column, 29, value))
    unlike = {name for name in before.columns if before.columns[name] != now.columns[name]}
    assert column in unlike
    assert column == "id" or unlike == {column}


@pytest.mark.parametrize(("column", "value"), [("amount", 99.0), ("kind", "c"), ("_label", 0.0)])
def test_a_changed_value_is_found_in_its_column(column: str, value: Any) -> None:
    table = changed(column, 29, value).take(np.random.default_rng(1).permutation(30))
    (found,) = row_changes("newest", rows(TABLE), rows(table), NAMES)
    assert (found.rows, found.column, found.different) == ("newest", column, 1)
    assert "id29" in found.example
    assert row_changes("newest", rows(TABLE), rows(TABLE.take(list(range(29, -1, -1)))), NAMES) == ()


def test_rows_on_one_side_only_are_counted() -> None:
    (found,) = row_changes("earlier", rows(TABLE), rows(TABLE.slice(2)), NAMES)
    assert (found.column, found.different) == ("*", 2)
    assert found.example.startswith("2 are gone, 0 are new: ")
    (found,) = row_changes("earlier", rows(TABLE), rows(pa.concat_tables([TABLE, TABLE.slice(5, 1)])), NAMES)
    assert (found.column, found.different) == ("*", 1)
