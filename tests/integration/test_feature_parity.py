"""What Spark computes for training is what the predictor computes from raw rows, odd values included."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakeloop.domain.encoding import encode, fit_encoding, source_columns
from lakeloop.domain.feature_table import feature_table
from lakeloop.domain.features import FeatureSpec
from lakeloop.domain.use_case import UseCase
from lakeloop.serving.column_types import to_arrow
from lakeloop.serving.expressions import raw_to_features
from lakeloop.serving.rows import parse_request
from lakeloop.use_case_files import known_use_cases, load_use_case
from tests.integration.conftest import SparkLake

pytestmark = pytest.mark.spark

ODD: dict[str, list[Any]] = {
    "double": [0.0, -0.0, -1.0, 1e-12, 0.5, 3.0, 1e15, -7.25, None],
    "long": [0, 1, -1, 7, 2**53 + 1, None],
    "int": [0, 1, -1, 12, 23, 2**31 - 1, None],
    "boolean": [True, False, None],
    "string": ["", "a", "POS", "x y", "it's", "é", None],
    "timestamp": ["2013-01-01T00:00:00", "2013-12-31T23:59:59.999999", "1969-07-20T20:17:40", None],
    "date": ["2013-02-28", "2012-02-29", None],
}
EXPRESSIONS = [
    "d / n",
    "n / 2",
    "n % 5",
    "ln(d)",
    "sqrt(d)",
    "exp(least(d, 10))",
    "abs(n)",
    "floor(d)",
    "greatest(d, n, 0.5)",
    "coalesce(d / n, -1)",
    "coalesce(ln(d), 0)",
    "coalesce(sqrt(d), n)",
    "coalesce(n % 0, 3)",
    "log10(d) + log2(d)",
    "1 + ln(abs(d))",
    "log(d)",
    "log(2, d)",
    "pow(d, 2)",
    "pow(d, 0.5)",
    "round(d, 2)",
    "ceil(d)",
    "n BETWEEN 0 AND 5",
    "s IN ('a', 'POS')",
    "length(s)",
    "CASE s WHEN 'a' THEN 1 ELSE 0 END",
    "nullif(n, 0)",
    "CASE WHEN s = 'a' AND b THEN 1 WHEN d > 0.4 THEN 2 END",
    "CASE WHEN b THEN d ELSE -d END",
    "d IS NULL OR n IS NULL",
    "d * d + n",
]


def use_case(features: list[Any]) -> UseCase:
    columns = {
        "id": "long",
        "at": "timestamp",
        "y": "int",
        "d": "double",
        "n": "long",
        "b": "boolean",
        "s": "string",
    }
    return UseCase.model_validate(
        {
            "name": "odd",
            "table": {"name": "a.b", "key": ["id"], "event_time": "at", "columns": columns},
            "source": {"kind": "files", "path": "x.csv"},
            "label": {"column": "y"},
            "features": features,
        }
    )


def rows_of(columns: dict[str, str], count: int = 400) -> list[dict[str, Any]]:
    random = np.random.default_rng(7)
    drawn = {name: random.integers(0, len(ODD[type_]), count) for name, type_ in columns.items()}
    return [{name: ODD[type_][drawn[name][i]] for name, type_ in columns.items()} for i in range(count)]


def assert_parity(spark_lake: SparkLake, declared: UseCase) -> None:
    raw_types = dict(declared.table.columns)
    of_a_row = tuple(f for f in declared.features if f.as_of is None)  # test_feature_engines has the others
    declared = declared.model_copy(update={"features": of_a_row})
    wanted = source_columns(declared.features, raw_types, declared.table.event_time)
    rows = rows_of(raw_types)
    table = to_arrow(parse_request(json.dumps({"rows": rows}).encode(), raw_types), raw_types)
    by_spark = features_by_spark(spark_lake, declared, table)
    encoding = fit_encoding(declared.features, by_spark, raw_types, declared.table.event_time)
    sent = json.dumps({"rows": [{c: row[c] for c in wanted} for row in rows]}).encode()
    served = raw_to_features(to_arrow(parse_request(sent, wanted), wanted), encoding)
    trained, answered = encode(by_spark, encoding), encode(served, encoding)
    for index, name in enumerate(encoding.names):
        np.testing.assert_array_equal(answered[:, index], trained[:, index], err_msg=f"feature {name}")


def features_by_spark(spark_lake: SparkLake, declared: UseCase, table: pa.Table) -> pa.Table:
    names = {f.name for f in declared.features}
    computed = [c for c in feature_table(declared, dict(declared.table.columns)).columns if c.name in names]
    before = spark_lake.spark.conf.get("spark.sql.ansi.enabled")
    spark_lake.spark.conf.set("spark.sql.ansi.enabled", "false")
    try:
        frame = spark_lake.spark.createDataFrame(table)
        return frame.selectExpr(*(f"{c.sql} AS `{c.name}`" for c in computed)).toArrow()
    finally:
        spark_lake.spark.conf.set("spark.sql.ansi.enabled", before)


@pytest.mark.parametrize("name", known_use_cases())
def test_features_of_the_committed_use_cases(spark_lake: SparkLake, name: str) -> None:
    assert_parity(spark_lake, load_use_case(name))


def test_what_a_feature_may_be(spark_lake: SparkLake) -> None:
    expressions = [FeatureSpec(name=f"f{i}", expression=text) for i, text in enumerate(EXPRESSIONS)]
    categories = [FeatureSpec(name=f"c_{c}", column=c, type="categorical") for c in ("s", "n", "b")]
    assert_parity(spark_lake, use_case(["d", "n", "b", *expressions, *categories]))
