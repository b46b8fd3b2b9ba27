"""The compiled way gives what DuckDB gives, or says that DuckDB must be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.domain.encoding import encode, source_columns
from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.serving import feature_function
from lakeloop.serving.column_types import to_arrow
from lakeloop.serving.compiled.column_function import ColumnFunction
from lakeloop.serving.compiled.row_function import RowFunction
from lakeloop.serving.compiled.sql_tree import NotCompilable
from lakeloop.serving.expressions import raw_to_features
from lakeloop.serving.feature_function import FeatureFunction
from lakeloop.serving.rows import typed_rows
from lakeloop.use_case_files import load_use_case

COLUMNS = {
    "a": "double",
    "b": "double",
    "n": "int",
    "m": "long",
    "t": "string",
    "f": "boolean",
    "d": "date",
    "at": "timestamp",
}


def encoding_of(*expressions: str) -> FeatureEncoding:
    features = [
        EncodedFeature(name=f"e{i}", type="numeric", expression=text) for i, text in enumerate(expressions)
    ]
    plain = [
        EncodedFeature(name=name, type="numeric", column=name)
        for name, type_ in COLUMNS.items()
        if type_ not in {"string", "date", "timestamp"}
    ]
    kind = EncodedFeature(name="t", type="categorical", column="t", categories=("x", "y"))
    return FeatureEncoding(features=(*features, *plain, kind), source_columns=COLUMNS)


def the_long_way(rows: list[dict[str, Any]], encoding: FeatureEncoding) -> np.ndarray[Any, Any]:
    typed = to_arrow(typed_rows(rows, encoding.source_columns), encoding.source_columns)
    return encode(raw_to_features(typed, encoding), encoding)


DOUBLES = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, -1.5, 0.1, 2.5, 1e-300, 1e299, -1e308, 5e-324, 3.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e6, 1e6).map(lambda x: round(x, 2)),
)
ROWS = st.fixed_dictionaries(
    {
        "a": DOUBLES,
        "b": DOUBLES,
        "n": st.none() | st.integers(-5, 5) | st.integers(-(2**31), 2**31 - 1),
        "m": st.none() | st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1),
        "t": st.none() | st.sampled_from(["x", "y", "it's", ""]),
        "f": st.none() | st.booleans(),
        "d": st.none() | st.dates().map(str),
        "at": st.none() | st.datetimes().map(lambda t: t.isoformat()),
    }
)


def conditions(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["=", "<>", "<", ">", "<=", ">="])
    simple = st.one_of(
        st.tuples(numbers, operators, numbers).map(" ".join),
        st.tuples(numbers, numbers, numbers).map(lambda p: f"{p[0]} BETWEEN {p[1]} AND {p[2]}"),
        numbers.map(lambda x: f"{x} IS NOT NULL"),
        st.sampled_from(["t = 'x'", "t IN ('y', 'it''s')", "t IS NULL", "f", "NOT f", "n NOT IN (1, 2)"]),
    )
    pairs = st.tuples(simple, st.sampled_from(["AND", "OR"]), simple)
    return simple | pairs.map(lambda p: f"({p[0]}) {p[1]} NOT ({p[2]})")


NUMBERS = st.recursive(
    st.sampled_from(
        [
            *("a", "b", "n", "m", "1", "0", "2.5", "1e3", "0.1", "-3", "NULL"),
            *("year(d)", "month(at)", "day(CAST(at AS DATE))", "date_diff('day', d, CAST(at AS DATE))"),
        ]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(
            st.sampled_from(["abs", "ln", "log", "log10", "exp", "sqrt", "floor", "ceil", "-"]), inner
        ).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(st.sampled_from(["coalesce", "greatest", "least", "power"]), inner, inner).map(
            lambda p: f"{p[0]}({p[1]}, {p[2]})"
        ),
        st.tuples(conditions(inner), inner, inner).map(
            lambda p: f"CASE WHEN {p[0]} THEN {p[1]} ELSE {p[2]} END"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(NUMBERS, st.lists(ROWS, min_size=1, max_size=6))
def test_a_compiled_expression_has_duckdbs_value(expression: str, rows: list[dict[str, Any]]) -> None:
    encoding = encoding_of(expression)
    try:
        compiled = RowFunction(encoding)
    except NotCompilable:
        return
    for row in rows:
        matrix = compiled.matrix([row])
        listed = compiled.matrix([[row[name] for name in COLUMNS]], listed=True)
        assert (listed is None) == (matrix is None)
        if matrix is not None:
            np.testing.assert_array_equal(listed, matrix)
            np.testing.assert_array_equal(matrix, the_long_way([row], encoding), err_msg=compiled.source)


@pytest.mark.parametrize("name", sorted(p.stem for p in Path("conf/use_cases").glob("*.yaml")))
def test_every_committed_expression_is_compiled(name: str) -> None:
    use_case = load_use_case(name)
    columns, at = use_case.table.columns, use_case.table.event_time
    features = tuple(
        EncodedFeature(
            name=f.name,
            type="categorical" if columns.get(f.served_column or "") == "string" else "numeric",
            column=f.served_column,
            expression=f.served_expression(at),
        )
        for f in use_case.features
    )
    RowFunction(
        FeatureEncoding(features=features, source_columns=source_columns(use_case.features, columns, at))
    )


@pytest.mark.parametrize(
    "expression",
    ["round(a, 1)", "n * 0.1", "t || 'x'", "CAST(a AS INT)", "(SELECT 1)", "sum(a)", "a; b", "now()", "a.b"],
)
def test_what_is_not_surely_the_same_is_left_to_duckdb(expression: str) -> None:
    with pytest.raises(NotCompilable):
        RowFunction(encoding_of(expression))


GOOD = {"a": 1.5, "b": 2, "n": 3, "m": None, "t": "y", "f": True, "d": None, "at": None}


def test_rows_become_the_booster_s_matrix() -> None:
    matrix = RowFunction(encoding_of("a + n")).matrix([GOOD, {**GOOD, "t": "never seen", "f": None}])
    np.testing.assert_array_equal(
        matrix,
        np.array([[4.5, 1.5, 2, 3, np.nan, 1, 1], [4.5, 1.5, 2, 3, np.nan, np.nan, np.nan]], np.float32),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"a": "1"},
        {"a": True},
        {"n": 1.5},
        {"n": 2**31},
        {"m": 2**63},
        {"t": 5},
        {"f": 1},
        {"other": 1},
        {"a": 1e308},
    ],
)
def test_a_row_that_is_not_plainly_right_goes_the_long_way(change: dict[str, Any]) -> None:
    function = RowFunction(encoding_of("a * a"))
    assert function.matrix([GOOD]) is not None
    assert function.matrix([GOOD, {**GOOD, **change}]) is None
    assert function.matrix([{k: v for k, v in GOOD.items() if k != "a"}]) is None
    assert function.matrix(["text", None]) is None


def test_lists_are_rows_only_where_that_is_said_and_only_of_the_right_length() -> None:
    function, row = RowFunction(encoding_of("a + n")), [GOOD[name] for name in COLUMNS]
    np.testing.assert_array_equal(function.matrix([row], listed=True), function.matrix([GOOD]))
    assert function.matrix([row]) is None
    assert function.matrix([row, GOOD], listed=True) is None
    assert function.matrix([row[:-1]], listed=True) is None
    assert function.matrix([[*row, 1]], listed=True) is None


NUMBER_COLUMNS = {name: type_ for name, type_ in COLUMNS.items() if type_ in {"double", "int", "long"}}
ARITHMETIC = st.recursive(
    st.sampled_from([*NUMBER_COLUMNS, "1", "0", "2.5", "1e3"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
    max_leaves=4,
)


def numbers_of(*expressions: str) -> FeatureEncoding:
    features = [
        EncodedFeature(name=f"e{i}", type="numeric", expression=text) for i, text in enumerate(expressions)
    ]
    plain = [EncodedFeature(name=name, type="numeric", column=name) for name in NUMBER_COLUMNS]
    return FeatureEncoding(features=(*plain, *features), source_columns=NUMBER_COLUMNS)


@settings(max_examples=300, deadline=None)
@given(ARITHMETIC, st.lists(ROWS, min_size=1, max_size=6))
def test_many_rows_at_once_have_the_values_of_row_by_row(expression: str, rows: list[dict[str, Any]]) -> None:
    encoding = numbers_of(expression)
    try:
        by_column = ColumnFunction(encoding)
    except NotCompilable:
        return
    rows = [{name: row[name] for name in NUMBER_COLUMNS} for row in rows]
    listed = [list(row.values()) for row in rows]
    matrix = by_column.matrix(rows)
    np.testing.assert_equal(by_column.matrix(listed, listed=True), matrix)
    if matrix is not None:
        np.testing.assert_array_equal(matrix, RowFunction(encoding).matrix(rows))


NUMBERS_ONLY = {name: GOOD[name] for name in NUMBER_COLUMNS}


@pytest.mark.parametrize(
    ("expression", "change"),
    [
        ("a + b", {"a": "1"}),
        ("a + b", {"a": True}),
        ("a + b", {"n": 1.0}),
        ("a + b", {"n": 2**31}),
        ("a + b", {"m": 2**63}),
        ("a + b", {"b": 10**400}),
        ("a + b", {"other": 1}),
        ("a / b", {"b": 0}),
        ("a * b", {"a": 1e200, "b": 1e200}),
    ],
)
def test_many_rows_of_which_one_is_not_plainly_right_go_row_by_row(
    expression: str, change: dict[str, Any]
) -> None:
    function = ColumnFunction(numbers_of(expression))
    assert function.matrix([NUMBERS_ONLY] * 3) is not None
    assert function.matrix([NUMBERS_ONLY, {**NUMBERS_ONLY, **change}]) is None
    assert function.matrix([NUMBERS_ONLY, {k: v for k, v in NUMBERS_ONLY.items() if k != "a"}]) is None
    assert function.matrix([NUMBERS_ONLY, "text"]) is None
    listed = list(NUMBERS_ONLY.values())
    assert function.matrix([listed] * 3) is None
    assert function.matrix([listed, NUMBERS_ONLY], listed=True) is None
    assert function.matrix([listed, [*listed, 1]], listed=True) is None


@pytest.mark.parametrize("value", [True, False, "1", [1], {}])
def test_what_is_no_number_is_seen_among_rows_without_null(value: Any) -> None:
    function, row = ColumnFunction(numbers_of("a + b")), {**NUMBERS_ONLY, "m": 1}
    assert function.matrix([row, {**row, "a": 1}, {**row, "a": 0}]) is not None
    assert function.matrix([row, {**row, "a": value}, row]) is None


def test_nulls_make_missing_what_is_made_of_them() -> None:
    matrix = ColumnFunction(numbers_of("a / (b + 1)")).matrix([NUMBERS_ONLY, {**NUMBERS_ONLY, "b": None}])
    np.testing.assert_array_equal(
        matrix, np.array([[1.5, 2, 3, np.nan, 0.5], [1.5, np.nan, 3, np.nan, np.nan]], np.float32)
    )


@pytest.mark.parametrize(
    "expression", ["n + m", "1 + 2.5", "abs(a)", "-a", "a % b", "NULL + a", "zz + a", "a > b"]
)
def test_what_is_not_arithmetic_of_doubles_goes_row_by_row(expression: str) -> None:
    with pytest.raises(NotCompilable):
        ColumnFunction(numbers_of(expression))


def test_a_model_with_a_text_goes_row_by_row() -> None:
    with pytest.raises(NotCompilable):
        ColumnFunction(encoding_of("a + b"))


@pytest.mark.parametrize("expression", ["amount / 2", "strftime(NOW(), '%Y')"])
def test_a_model_is_compiled_once(monkeypatch: pytest.MonkeyPatch, expression: str) -> None:
    made: list[FeatureEncoding] = []

    def counted(encoding: FeatureEncoding) -> RowFunction:
        made.append(encoding)
        return RowFunction(encoding)

    monkeypatch.setattr(feature_function, "RowFunction", counted)
    feature = EncodedFeature(name="f", type="numeric", expression=expression)
    encoding = FeatureEncoding(features=(feature,), source_columns={"amount": "double"})
    function = FeatureFunction(encoding, None)  # type: ignore[arg-type]
    assert (function.compiled is None) == bool(function.not_compiled) == ("NOW" in expression)
    assert len(made) == 1
