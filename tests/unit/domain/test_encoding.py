import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.encoding import encode, fit_encoding, source_columns
from lakeloop.domain.errors import UserError
from lakeloop.domain.features import FeatureEncoding, FeatureSpec
from lakeloop.serving.expressions import raw_to_features

FEATURES = (FeatureSpec(name="age", column="age"), FeatureSpec(name="city", column="city"))
RAW = {"id": "long", "age": "int", "city": "string", "paid": "boolean"}


def fitted(ages: list[float | None], cities: list[str | None]) -> FeatureEncoding:
    table = pa.table({"age": pa.array(ages, pa.float64()), "city": pa.array(cities, pa.string())})
    return fit_encoding(FEATURES, table, RAW)


def test_codes_are_positions_in_the_sorted_training_values() -> None:
    encoding = fitted([1.0, 2.0, None], ["rome", "bonn", None])
    assert encoding.features[1].categories == ("bonn", "rome")
    assert encoding.xgboost_types == ["q", "c"]
    matrix = encode([{"age": 7, "city": "rome"}, {"age": None, "city": "paris"}], encoding)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [[7.0, 1.0], [np.nan, np.nan]])


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(allow_infinity=False, width=32),
            st.none() | st.sampled_from(["a", "b", "c"]),
        ),
        max_size=20,
    )
)
def test_rows_and_arrow_give_the_same_matrix(rows: list[tuple[float | None, str | None]]) -> None:
    encoding = fitted([0.0, 1.0], ["a", "b"])
    table = pa.table(
        {
            "age": pa.array([r[0] for r in rows], pa.float64()),
            "city": pa.array([r[1] for r in rows], pa.string()),
        }
    )
    from_rows = encode([{"age": a, "city": c} for a, c in rows], encoding)
    np.testing.assert_array_equal(from_rows, encode(table, encoding))
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    np.testing.assert_array_equal(from_rows, encode(chunked, encoding))


def test_a_missing_feature_is_named_with_its_row() -> None:
    encoding = fitted([0.0], ["a"])
    with pytest.raises(UserError, match=r"row 1: feature 'city' is missing"):
        encode([{"age": 1, "city": "a"}, {"age": 1}], encoding)
    with pytest.raises(UserError, match="feature 'age' is missing"):
        encode(pa.table({"city": ["a"]}), encoding)
    with pytest.raises(UserError, match="feature age: not a number"):
        encode([{"age": "old", "city": "a"}], encoding)


def test_booleans_are_zero_and_one_or_their_names() -> None:
    table = pa.table({"paid": [True, False, None]})
    numeric = fit_encoding([FeatureSpec(name="paid", column="paid")], table, RAW)
    np.testing.assert_array_equal(encode(table, numeric)[:, 0], [1, 0, np.nan])
    categorical = fit_encoding([FeatureSpec(name="paid", column="paid", type="categorical")], table, RAW)
    assert categorical.features[0].categories == ("false", "true")
    np.testing.assert_array_equal(
        encode([{"paid": True}], categorical), encode(table.slice(0, 1), categorical)
    )


def test_source_columns_are_those_that_expressions_name() -> None:
    features = [
        FeatureSpec(name="ratio", expression="AGE / greatest(1, length('paid'))"),
        FeatureSpec(name="town", column="city"),
    ]
    assert source_columns(features, RAW) == {"age": "int", "city": "string"}


def test_expressions_of_raw_rows_become_features() -> None:
    features = [FeatureSpec(name="double_age", expression="age * 2"), FeatureSpec(name="town", column="city")]
    trained = pa.table({"double_age": [2.0], "town": ["a"]})
    encoding = fit_encoding(features, trained, RAW)
    raw = pa.table({"age": pa.array([21, None], pa.int32()), "city": ["a", "z"]})
    np.testing.assert_array_equal(
        encode(raw_to_features(raw, encoding), encoding), [[42, 0], [np.nan, np.nan]]
    )
    with pytest.raises(UserError, match="column 'city' is missing"):
        raw_to_features(raw.drop(["city"]), encoding)
