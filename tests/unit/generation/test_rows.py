"""Laws of the generator: what a row is does not depend on how it was asked for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lakeloop.domain.batch import Plants
from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.rows import Part, check_expressions, generate_rows, probabilities
from lakeloop.generation.streams import uniforms

TABLE = {
    "name": "a.b",
    "key": ["id"],
    "event_time": "at",
    "columns": {
        "id": "long", "at": "timestamp", "shop": "string", "shop_size": "double", "amount": "double",
        "units": "int", "kind": "string", "ratio": "double", "y": "int",
    },
}  # fmt: skip
COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "kind": "sequence"},
    {"name": "at", "kind": "time", "start": "2025-03-01T00:00:00Z", "batch_seconds": 3600},
    {"name": "shop_number", "kind": "integer", "low": 0, "high": 30, "hidden": True},
    {"name": "shop", "kind": "expression", "expression": "'s' || shop_number"},
    {"name": "shop_size", "kind": "exponential", "mean": 10, "entity": "shop_number", "round": 3},
    {"name": "amount", "kind": "lognormal", "median": 20, "sigma": 1, "min": 1, "max": 900, "round": 2},
    {
        "name": "units",
        "kind": "normal",
        "mean": 50,
        "std": 9,
        "correlation": {"column": "amount", "value": 0.6},
    },
    {"name": "kind", "kind": "choice", "values": ["a", "b"], "weights": [3, 1], "nulls": 0.1},
    {"name": "ratio", "kind": "expression", "expression": "amount / units"},
]
LOGIT = "-1 + 0.8 * ln(amount) - 0.03 * units + CASE WHEN kind = 'b' THEN 1 ELSE 0 END"


def use_case(columns: list[dict[str, Any]] | None = None, logit: str = LOGIT, **source: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "a",
            "table": TABLE,
            "source": {
                "kind": "synthetic",
                "columns": columns or COLUMNS,
                "label": {"logit": logit},
                **source,
            },
            "expectations": {"ranges": {"amount": {"min": 0, "max": 1000}}, "allowed": {"kind": ["a", "b"]}},
            "label": {"column": "y"},
            "features": ["amount", "units", "kind"],
        }
    )


USE_CASE = use_case()
PLANTS = Plants(
    drift={"amount": 0.5}, label_shift=0.3, nulls={"units": 0.2}, out_of_range={"amount": 0.1, "kind": 0.05},
    duplicates=0.15,
)  # fmt: skip


def rows_of(
    start: int, count: int, *, total: int = 700, number: int = 2, plants: Plants = PLANTS
) -> pa.Table:
    return generate_rows(USE_CASE, Part(number, total, start, count, plants))


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 699), max_size=5, unique=True), plant=st.booleans())
def test_rows_are_the_same_in_whatever_pieces(cuts: list[int], plant: bool) -> None:
    plants = PLANTS if plant else Plants()
    ends = [0, *sorted(cuts), 700]
    pieces = [rows_of(a, b - a, plants=plants) for a, b in pairwise(ends)]
    assert pa.concat_tables(pieces).combine_chunks().equals(rows_of(0, 700, plants=plants).combine_chunks())


@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, 2**40), count=st.integers(0, 50), skip=st.integers(0, 50))
def test_a_stream_has_one_number_at_each_position(start: int, count: int, skip: int) -> None:
    whole = uniforms(("k", 1), start, skip + count)
    assert np.array_equal(whole[skip:], uniforms(("k", 1), start + skip, count))
    assert ((whole > 0) & (whole < 1)).all()


def test_streams_of_other_keys_are_unrelated() -> None:
    one, other = uniforms(("k", 1), 0, 50_000), uniforms(("k", 2), 0, 50_000)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert abs(one.mean() - 0.5) < 0.01


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 400),
    nulls=st.floats(0, 1),
    outside=st.floats(0, 1),
    duplicates=st.floats(0, 0.33),
    number=st.integers(0, 9),
)
def test_plants_have_exactly_the_share_asked_for(
    total: int, nulls: float, outside: float, duplicates: float, number: int
) -> None:
    plants = Plants(nulls={"units": nulls}, out_of_range={"amount": outside}, duplicates=duplicates)
    rows = rows_of(0, total, total=total, number=number, plants=plants)
    assert rows.num_rows == total
    assert rows["units"].null_count == round(nulls * total)
    assert pc.sum(pc.greater(rows["amount"], 1000), min_count=0).as_py() == round(outside * total)
    assert total - len(rows["id"].unique()) == round(duplicates * total)


def test_a_duplicate_repeats_a_whole_row() -> None:
    rows = rows_of(0, 300, total=300, plants=Plants(duplicates=0.2)).to_pylist()
    first = {}
    for row in rows:
        assert first.setdefault(row["id"], row) == row


def test_drift_moves_a_column_by_its_standard_deviation_and_the_label_with_it() -> None:
    columns = [*COLUMNS[:6], {"name": "units", "kind": "normal", "mean": 50, "std": 9}, *COLUMNS[7:]]
    drifting = use_case(columns)
    before, after = (
        generate_rows(drifting, Part(1, 20_000, 0, 20_000, plants))
        for plants in (Plants(), Plants(drift={"units": 2.0}))
    )
    assert pc.mean(after["units"]).as_py() - pc.mean(before["units"]).as_py() == pytest.approx(18, abs=0.01)
    assert pc.mean(after["y"]).as_py() < pc.mean(before["y"]).as_py() - 0.03
    assert after["amount"].equals(before["amount"])


def test_label_shift_moves_only_the_label() -> None:
    before = rows_of(0, 5000, total=5000, plants=Plants())
    after = rows_of(0, 5000, total=5000, plants=Plants(label_shift=1.5))
    assert after.drop_columns(["y"]).equals(before.drop_columns(["y"]))
    assert pc.mean(after["y"]).as_py() > pc.mean(before["y"]).as_py() + 0.1


def test_batches_follow_each_other_in_time_and_share_no_id_whatever_their_size() -> None:
    first = rows_of(0, 700, number=1, plants=Plants())
    second = rows_of(0, 90, total=90, number=2, plants=Plants())
    assert pc.max(first["at"]).as_py() < pc.min(second["at"]).as_py()
    assert pc.min(first["at"]).as_py().isoformat() == "2025-03-01T00:00:00+00:00"
    assert not set(first["id"].to_pylist()) & set(second["id"].to_pylist())
    assert first.schema.names == list(TABLE["columns"])


def test_an_entity_keeps_its_values_in_every_batch() -> None:
    batches = [rows_of(0, 700, number=n, plants=Plants()) for n in (1, 5)]
    pairs = {
        (r["shop"], r["shop_size"]) for b in batches for r in b.select(["shop", "shop_size"]).to_pylist()
    }
    assert len(pairs) == len({shop for shop, _ in pairs}) == 31


def test_the_label_depends_on_the_columns_through_the_logit_only() -> None:
    flat = use_case(logit="-0.5")
    rows = generate_rows(flat, Part(1, 50_000, 0, 50_000))
    labels = rows["y"].to_numpy()
    for name in ("amount", "units", "shop_size", "ratio", "id"):
        assert abs(np.corrcoef(rows[name].to_numpy(), labels)[0, 1]) < 0.015, name


def test_the_label_is_drawn_with_the_stated_probability() -> None:
    part = Part(1, 100_000, 0, 100_000)
    chances, labels = probabilities(USE_CASE, part), generate_rows(USE_CASE, part)["y"].to_numpy()
    for low in np.arange(0, 1, 0.1):
        chosen = (chances >= low) & (chances < low + 0.1)
        if chosen.sum() > 1000:
            assert labels[chosen].mean() == pytest.approx(chances[chosen].mean(), abs=0.025)


def test_correlation_is_the_declared_one() -> None:
    rows = rows_of(0, 30_000, total=30_000, plants=Plants())
    amount, units = np.log(rows["amount"].to_numpy()), rows["units"].to_numpy()
    assert np.corrcoef(amount, units)[0, 1] == pytest.approx(0.6, abs=0.02)


def test_a_use_case_survives_its_json() -> None:
    assert UseCase.model_validate_json(USE_CASE.model_dump_json()) == USE_CASE
    assert UseCase.model_validate_json(USE_CASE.canonical_json()) == USE_CASE


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (COLUMNS[:-1], "'ratio' is not generated"),
        ([*COLUMNS, {"name": "extra", "kind": "uniform"}], "'extra' is not in table.columns"),
        ([*COLUMNS, {"name": "y", "kind": "uniform"}], "source.label draws it"),
        ([*COLUMNS, COLUMNS[0]], "declared twice"),
        ([*COLUMNS[:3], *COLUMNS[4:], {**COLUMNS[4], "name": "shop", "entity": "later"}], "entity 'later'"),
        (
            [*COLUMNS[:8], {"name": "ratio", "kind": "expression", "expression": "random()"}],
            "another value each",
        ),
        ([*COLUMNS[:8], {"name": "ratio", "kind": "normall"}], "normall"),
        ([*COLUMNS[:8], {"name": "ratio", "kind": "normal", "sdt": 3}], "sdt"),
    ],
)
def test_a_wrong_source_is_refused_by_name(columns: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        use_case(columns)


@pytest.mark.parametrize(
    ("logit", "where"),
    [
        ("amuont * 2", "amuont"),
        ("shop_number * 0.1", "shop_number"),
        ("nullif(kind, 'a')::DOUBLE", "logit"),
        ("1 +", "logit"),
    ],
)
def test_a_wrong_expression_is_one_clear_error(logit: str, where: str) -> None:
    with pytest.raises(UserError, match=where):
        check_expressions(use_case(logit=logit))


@pytest.mark.parametrize(
    "plants",
    [
        Plants(drift={"ratio": 1}),
        Plants(nulls={"nothing": 0.1}),
        Plants(nulls={"units": 1.5}),
        Plants(out_of_range={"ratio": 0.1}),
        Plants(duplicates=0.5),
    ],
)
def test_a_plant_without_a_place_is_refused(plants: Plants) -> None:
    with pytest.raises(UserError, match="plants"):
        rows_of(0, 10, plants=plants)
