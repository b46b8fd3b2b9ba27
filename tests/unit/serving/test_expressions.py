from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from lakeloop.domain.errors import UserError
from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.serving.expressions import raw_to_features

RAW = pa.table(
    {"a": [4.0, 0.0, -1.0, None], "n": pa.array([1, 2, 3, None], pa.int64()), "t": ["x", "y", None, "x"]}
)


def evaluated(expression: str, type_: Any = "numeric") -> list[Any]:
    feature = EncodedFeature(name="f", type=type_, expression=expression)
    return raw_to_features(RAW, FeatureEncoding(features=(feature,))).column("f").to_pylist()


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a + n", [5.0, 2.0, 2.0, None]),
        ("n / 2", [0.5, 1.0, 1.5, None]),
        ("ln(a)", [math.log(4), None, None, None]),
        ("sqrt(a)", [2.0, 0.0, math.nan, None]),
        ("coalesce(ln(a), 0) + ln(a)", [2 * math.log(4), None, None, None]),
        ("log(a)", [math.log(4), None, None, None]),
        ("n / a", [0.25, None, -3.0, None]),
        ("coalesce(1 / a, 9)", [0.25, 9.0, -1.0, 9.0]),
        ("n % 0", [None] * 4),
        ("CASE WHEN t = 'x' THEN 1 ELSE 0 END", [1.0, 0.0, 0.0, 1.0]),
        ("greatest(a, n)", [4.0, 2.0, 3.0, None]),
    ],
)
def test_expressions_give_doubles_and_null_where_there_is_no_number(
    expression: str, values: list[Any]
) -> None:
    assert evaluated(expression) == pytest.approx(values, nan_ok=True)


def test_a_category_may_be_an_expression() -> None:
    assert evaluated("concat(t, '-', n)", "categorical")[:2] == ["x-1", "y-2"]


def test_plain_columns_keep_their_values_beside_expressions_in_the_models_order() -> None:
    features = (
        EncodedFeature(name="sum", type="numeric", expression="a + n"),
        EncodedFeature(name="name", type="categorical", column="t"),
        EncodedFeature(name="twice", type="numeric", expression="2 * n"),
    )
    table = raw_to_features(RAW, FeatureEncoding(features=features))
    assert table.column_names == ["sum", "name", "twice"]
    assert table.slice(0, 1).to_pylist() == [{"sum": 5.0, "name": "x", "twice": 2.0}]


def test_an_expression_sees_its_row_and_nothing_else() -> None:
    with pytest.raises(UserError, match="subquery"):
        evaluated("(SELECT count(*) FROM read_text('/etc/hostname'))")


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(UserError, match="nope"):
        evaluated("nope + 1")
