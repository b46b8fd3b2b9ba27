"""As-of aggregates against their definition, row by row, whatever the order, the cuts and the roles."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from lakeloop.domain.dialects import DUCKDB, MICROSECONDS_A_DAY
from lakeloop.domain.feature_table import feature_table
from lakeloop.domain.past_columns import AT, BOTH, LOOKS, ROLE, SEEN, PastColumns
from lakeloop.domain.past_in_memory import past_of
from lakeloop.domain.past_order import Positions, Ties, entity_codes, ordered
from lakeloop.domain.past_pieces import BLOCK_ROWS, PIECE_ROWS
from lakeloop.domain.past_stream import PastStream
from lakeloop.domain.use_case import UseCase

Row = dict[str, Any]
COLUMNS = {"id": "long", "who": "string", "at": "timestamp", "amount": "double", "kind": "string", "y": "int"}
AGGREGATES: dict[str, dict[str, Any]] = {
    "rows": {"aggregate": "count"},
    "known": {"aggregate": "count", "of": "amount"},
    "mean": {"aggregate": "mean", "of": "amount"},
    "sum": {"aggregate": "sum", "of": "amount"},
    "min": {"aggregate": "min", "of": "amount"},
    "max": {"aggregate": "max", "of": "amount"},
    "last": {"aggregate": "last", "of": "amount"},
    "last_kind": {"aggregate": "last", "of": "kind"},
    "since": {"aggregate": "days_since_last"},
    "recent": {"aggregate": "sum", "of": "amount", "window_days": 2},
    "recent_min": {"aggregate": "min", "of": "amount", "window_days": 2},
    "recent_last": {"aggregate": "last", "of": "kind", "window_days": 1.5},
    "bad_rate": {"aggregate": "mean", "of": "y", "delay_days": 1},
    "late": {"aggregate": "count", "window_days": 3, "delay_days": 1},
}


def use_case(aggregates: dict[str, dict[str, Any]] = AGGREGATES) -> UseCase:
    features = [{"name": name, "as_of": {"entity": "who", **spec}} for name, spec in aggregates.items()]
    return UseCase.model_validate(
        {
            "name": "past",
            "table": {"name": "a.b", "key": ["id"], "event_time": "at", "columns": COLUMNS},
            "source": {"kind": "files", "path": "x.csv"},
            "label": {"column": "y"},
            "features": features,
        }
    )


def columns() -> PastColumns:
    return feature_table(use_case(), COLUMNS | {"at": "timestamptz"}, DUCKDB).past[0]


def expected(row: Row, rows: list[Row], name: str) -> float | str | None:
    """The definition, as the documentation has it."""
    spec = AGGREGATES[name]
    if row["who"] is None or row["at"] is None:
        return None
    day = MICROSECONDS_A_DAY
    seen = [r for r in rows if r["role"] & SEEN and r["who"] == row["who"] and r["at"] is not None]
    seen = [r for r in seen if r["at"] < row["at"] - spec.get("delay_days", 0) * day]
    if "window_days" in spec:
        seen = [r for r in seen if r["at"] >= row["at"] - spec["window_days"] * day]
    seen.sort(key=lambda r: (r["at"], r["id"]))
    if spec["aggregate"] == "days_since_last":
        return (row["at"] - seen[-1]["at"]) / day if seen else None
    of = spec.get("of")
    values: list[Any] = [1 if of is None else r[of] for r in seen]
    values = [v for v in values if v is not None and v == v]  # noqa: PLR0124 - NaN is not
    if spec["aggregate"] == "count":
        return float(len(values))
    if not values:
        return None
    value: Any = {
        "mean": lambda: math.fsum(values) / len(values),
        "sum": lambda: math.fsum(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "last": lambda: values[-1],
    }[spec["aggregate"]]()
    return value if isinstance(value, str) else float(value)


def table(rows: list[Row], names: PastColumns) -> pa.Table:
    """The hidden columns of the rows, as an engine's SQL gives them."""
    alias = {sql: a for a, sql in names.values.items()}
    number = next(a for sql, a in alias.items() if "amount" in sql)
    text = next(a for sql, a in alias.items() if "kind" in sql)
    label = next(a for sql, a in alias.items() if '"y"' in sql)
    return pa.table(
        {
            "_past_entity_0": pa.array([r["who"] for r in rows], pa.string()),
            "_past_at": pa.array([r["at"] for r in rows], pa.int64()),
            "_past_key_0": pa.array([r["id"] for r in rows], pa.int64()),
            number: pa.array(
                [None if r["amount"] != r["amount"] else r["amount"] for r in rows], pa.float64()
            ),
            text: pa.array([r["kind"] for r in rows], pa.string()),
            label: pa.array([None if r["y"] is None else float(r["y"]) for r in rows], pa.float64()),
            ROLE: pa.array([r["role"] for r in rows], pa.int8()),
        }
    )


def order_of(rows: pa.Table, names: PastColumns) -> Positions:
    """The order in which `PastStream` wants the rows, as their positions."""
    times = rows.column(AT).fill_null(np.iinfo(np.int64).min).to_numpy()
    codes = entity_codes([rows.column(name) for name in names.entity])
    return ordered(codes, times, np.arange(rows.num_rows), Ties(rows, names))


def computed(rows: list[Row], step: int | None = None) -> dict[int, Row]:
    """Features by id of the rows that look back; fed in pieces of `step` rows."""
    names = columns()
    given_rows, stream, found = table(rows, names), PastStream(names), dict[int, Row]()
    in_order = given_rows.take(order_of(given_rows, names)).combine_chunks()
    for start in range(0, in_order.num_rows, step or max(in_order.num_rows, 1)):
        piece = in_order.slice(start, step or in_order.num_rows).to_batches()[0]
        values = {name: column.to_pylist() for name, column in stream.feed(piece).items()}
        roles = zip(piece.column("_past_key_0").to_pylist(), piece.column(ROLE).to_pylist(), strict=True)
        for place, identity in enumerate(i for i, role in roles if role & LOOKS):
            found[identity] = {name: column[place] for name, column in values.items()}
    return found


moments = st.one_of(
    st.none(),
    st.integers(0, 6).map(lambda d: d * MICROSECONDS_A_DAY),
    st.integers(0, 6 * MICROSECONDS_A_DAY),
)
drawn_rows = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.sampled_from(["a", "b", "c", None]),
            "at": moments,
            "amount": st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan)),
            "kind": st.sampled_from(["x", "y", None]),
            "y": st.sampled_from([0, 1, None]),
            "role": st.sampled_from([SEEN, LOOKS, BOTH]),
        }
    ),
    max_size=40,
).map(lambda rows: [row | {"id": i} for i, row in enumerate(rows)])


@settings(max_examples=60, deadline=None)
@given(rows=drawn_rows)
def test_every_row_has_what_the_definition_says(rows: list[Row]) -> None:
    found = computed(rows)
    assert set(found) == {r["id"] for r in rows if r["role"] & LOOKS}
    for row in (r for r in rows if r["role"] & LOOKS):
        for name, value in found[row["id"]].items():
            wanted = expected(row, rows, name)
            near = isinstance(wanted, float) and isinstance(value, float)
            assert value == (pytest.approx(wanted, rel=1e-12, abs=1e-9) if near else wanted), name


@settings(max_examples=40, deadline=None)
@given(rows=drawn_rows, step=st.integers(1, 7), order=st.randoms(use_true_random=False))
def test_neither_order_nor_cuts_nor_other_entities_show_in_a_bit(
    rows: list[Row], step: int, order: Any
) -> None:
    whole, shuffled = computed(rows), list(rows)
    order.shuffle(shuffled)
    assert computed(shuffled, step) == whole
    alone = [r for r in rows if r["who"] == "a"]
    assert computed(alone) == {i: whole[i] for i in computed(alone)}


@settings(max_examples=40, deadline=None)
@given(rows=drawn_rows)
def test_all_at_once_gives_each_row_its_own_in_place(rows: list[Row]) -> None:
    names = columns()
    looking, seen = ([r for r in rows if r["role"] & role] for role in (LOOKS, SEEN))
    assert in_memory(looking, past_of(table(looking, names), names, table(seen, names))) == computed(rows)
    both = [row | {"role": BOTH} for row in rows]
    assert in_memory(both, past_of(table(both, names), names)) == computed(both)


def in_memory(rows: list[Row], found: dict[str, pa.Array]) -> dict[int, Row]:
    values = {name: column.to_pylist() for name, column in found.items()}
    return {row["id"]: {name: column[n] for name, column in values.items()} for n, row in enumerate(rows)}


@pytest.mark.parametrize("block_rows", [BLOCK_ROWS, 50_000])
def test_many_rows_in_memory_have_what_a_stream_gives(
    block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one piece, keys that do not ascend, of which some are there twice."""
    monkeypatch.setattr("lakeloop.domain.past_pieces.BLOCK_ROWS", block_rows)
    names, count, day = columns(), PIECE_ROWS + 50_000, MICROSECONDS_A_DAY
    rows = [
        {
            "id": (i * 7919) % (count - 9),
            "who": f"{i % 3001}",
            "at": (i * 31 % 40) * day,
            "amount": (i * 0.37) % 11,
            "kind": "xyz"[i % 3],
            "y": i % 2,
            "role": BOTH,
        }
        for i in range(count)
    ]
    given_rows = table(rows, names)
    order = order_of(given_rows, names)
    streamed = PastStream(names).feed(given_rows.take(order).combine_chunks().to_batches()[0])
    for name, values in past_of(given_rows, names).items():
        assert values.take(order).equals(streamed[name]), name


def test_a_long_past_is_summed_to_the_last_digits() -> None:
    rows = [
        {"id": i, "who": "a", "at": i, "amount": 0.1, "kind": None, "y": 0, "role": BOTH}
        for i in range(10_000)
    ]
    found = computed(rows, 997)
    assert found[9_999]["sum"] == pytest.approx(math.fsum([0.1] * 9_999), rel=1e-15)
    assert found[9_999]["rows"] == 9_999


def test_a_row_that_only_looks_back_sees_what_an_earlier_piece_ended_with() -> None:
    rows = [
        {"id": i, "who": "a", "at": i * MICROSECONDS_A_DAY, "amount": None, "kind": "x", "y": 0, "role": role}
        for i, role in enumerate([SEEN, LOOKS])
    ]
    assert computed(rows, step=1)[1] == computed(rows)[1]
    assert (computed(rows, step=1)[1]["rows"], computed(rows, step=1)[1]["last_kind"]) == (1.0, "x")


def test_rows_of_one_instant_see_nothing_of_each_other_and_the_largest_key_is_the_last() -> None:
    rows = [
        {"id": i, "who": "a", "at": at, "amount": float(i), "kind": None, "y": 0, "role": BOTH}
        for i, at in [(3, 10), (1, 10), (2, 10), (4, 11)]
    ]
    found = computed(rows)
    assert [found[i]["rows"] for i in (1, 2, 3, 4)] == [0, 0, 0, 3]
    assert found[4]["last"] == 3.0


@pytest.mark.parametrize(
    ("as_of", "told"),
    [
        ({"aggregate": "mean", "of": "y"}, "as_of.delay_days"),
        ({"aggregate": "mean"}, "of which column"),
        ({"aggregate": "days_since_last", "of": "amount"}, "leave `of` out"),
        ({"aggregate": "count", "window_days": 1, "delay_days": 1}, "longer than delay_days"),
        ({"aggregate": "count", "entity": "y"}, "is the label"),
        ({"aggregate": "count", "entity": "nobody"}, "'nobody' is not in table.columns"),
        ({"aggregate": "median", "of": "amount"}, "Input should be"),
    ],
)
def test_what_cannot_be_asked_of_the_past(as_of: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        use_case({"f": as_of})
