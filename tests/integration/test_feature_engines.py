"""Both engines give every row the same features, to the last bit: random tables, full and incremental, skewed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from lakeloop.adapters.duckdb.feature_rows import feature_rows as in_process
from lakeloop.adapters.spark import feature_rows as spark_feature_rows
from lakeloop.adapters.spark.feature_rows import feature_rows as in_spark
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.feature_table import feature_table
from lakeloop.domain.use_case import UseCase
from tests.integration.conftest import SparkLake

pytestmark = pytest.mark.spark

COLUMNS = {
    "id": "long",
    "who": "long",
    "where": "string",
    "at": "date",
    "amount": "double",
    "kind": "string",
    "born": "date",
    "met": "timestamp",
    "y": "int",
}
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("who", pa.int64()),
        ("where", pa.string()),
        ("at", pa.date32()),
        ("amount", pa.float64()),
        ("kind", pa.string()),
        ("born", pa.date32()),
        ("met", pa.timestamp("us", "UTC")),
        ("y", pa.int32()),
    ]
)


def past(entity: Any, aggregate: str, **rest: Any) -> dict[str, Any]:
    return {"entity": entity, "aggregate": aggregate, **rest}


FEATURES: list[Any] = [
    "amount",
    "kind",
    {"name": "ratio", "expression": "amount / (id % 3)"},
    {"name": "age", "age": "born"},
    {"name": "years_met", "years_since": "met"},
    {"name": "earlier", "as_of": past("who", "count")},
    {"name": "mean_amount", "as_of": past("who", "mean", of="amount")},
    {"name": "sum_recent", "as_of": past("who", "sum", of="amount", window_days=30)},
    {"name": "last_kind", "as_of": past("who", "last", of="kind")},
    {"name": "days_since", "as_of": past("who", "days_since_last")},
    {"name": "bad_rate", "as_of": past("who", "mean", of="y", delay_days=10)},
    {"name": "there_max", "as_of": past(["where", "who"], "max", of="amount", window_days=100)},
    {"name": "there_min", "as_of": past("where", "min", of="amount")},
]


def use_case(event_time: str = "at") -> UseCase:
    return UseCase.model_validate(
        {
            "name": "engines",
            "table": {"name": "a.b", "key": ["id", "who"], "event_time": event_time, "columns": COLUMNS},
            "source": {"kind": "files", "path": "x.csv"},
            "label": {"column": "y"},
            "features": FEATURES,
        }
    )


@pytest.fixture(autouse=True)
def as_in_training(spark_lake: SparkLake) -> Iterator[None]:
    before = spark_lake.spark.conf.get("spark.sql.ansi.enabled")
    spark_lake.spark.conf.set("spark.sql.ansi.enabled", "false")
    yield
    spark_lake.spark.conf.set("spark.sql.ansi.enabled", before)


def by_id(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as Python values; NaN as text, for it equals nothing."""
    listed = sorted(rows.to_pylist(), key=lambda r: r["id"])
    return [{k: "NaN" if v != v else v for k, v in r.items()} for r in listed]  # noqa: PLR0124


def both(
    spark_lake: SparkLake, declared: UseCase, source: pa.Table, history: pa.Table | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    types = dict(COLUMNS) | {"met": "timestamptz"}
    frame = spark_lake.spark.createDataFrame
    earlier = None if history is None else frame(history)

    def in_spark_of(rows_at_most: int | None) -> list[dict[str, Any]]:
        computed = in_spark(frame(source), feature_table(declared, types), "r", earlier, rows_at_most)
        return by_id(computed.toArrow())

    many = in_spark_of(None)
    with mock.patch.object(spark_feature_rows, "FEW_CORES", 0):
        assert many == in_spark_of(1000), "sorted by Spark, or by numpy"
    with mock.patch.object(spark_feature_rows, "TASK_ROWS", 300):
        assert many == in_spark_of(1000), "shuffled, or read by each of four tasks"
    return many, by_id(in_process(source, feature_table(declared, types, DUCKDB), "r", history))


days = st.one_of(st.none(), st.dates(dt.date(2019, 12, 20), dt.date(2020, 3, 10)))
drawn = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.sampled_from([1, 2, 3, None]),
            "where": st.sampled_from(["n", "s", None]),
            "at": days,
            "amount": st.one_of(
                st.none(), st.floats(-1e3, 1e3), st.just(float("nan")), st.just(float("inf"))
            ),
            "kind": st.sampled_from(["x", "y", "é", None]),
            "born": st.one_of(st.none(), st.dates(dt.date(1950, 1, 1), dt.date(2021, 1, 1))),
            "met": st.one_of(
                st.none(),
                st.integers(0, 10**7).map(
                    lambda s: dt.datetime(2019, 11, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=s)
                ),
            ),
            "y": st.sampled_from([0, 1, None]),
        }
    ),
    min_size=1,
    max_size=60,
)


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(rows=drawn, newest=st.integers(0, 20), event_time=st.sampled_from(["at", "met"]))
def test_row_by_row_and_an_increment_as_the_whole(
    spark_lake: SparkLake, rows: list[dict[str, Any]], newest: int, event_time: str
) -> None:
    table = pa.Table.from_pylist([row | {"id": i} for i, row in enumerate(rows)], schema=SCHEMA)
    declared = use_case(event_time)
    spark, local = both(spark_lake, declared, table, None)
    assert spark == local
    increment = table.slice(max(0, table.num_rows - newest))
    if increment.num_rows:
        spark, part = both(spark_lake, declared, increment, table)
        assert spark == part
        assert part == local[-increment.num_rows :], "what an increment has is what the whole has"


def test_one_entity_with_most_rows(spark_lake: SparkLake) -> None:
    """Cut into many Arrow batches, of which one entity fills all; windows included."""
    count = 40_000
    random = np.random.default_rng(3)
    table = pa.table(
        {
            "id": np.arange(count),
            "who": np.where(random.random(count) < 0.02, random.integers(2, 300, count), 1),
            "where": pa.array(["n"] * count),
            "at": pa.array(random.integers(10_000, 14_000, count).astype("int32")).cast(pa.date32()),
            "amount": random.lognormal(5, 1, count),
            "kind": pa.array(random.choice(["x", "y"], count)),
            "born": pa.nulls(count, pa.date32()),
            "met": pa.nulls(count, pa.timestamp("us", "UTC")),
            "y": pa.array(random.integers(0, 2, count).astype("int32")),
        }
    )
    spark_lake.spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "999")
    spark, local = both(spark_lake, use_case(), table, None)
    spark_lake.spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert spark == local


def test_entities_of_every_type_at_their_edges(spark_lake: SparkLake) -> None:
    """The first day that there is, instants before 1970, both zeros, NaN, the largest whole numbers, odd text."""
    edges: dict[str, tuple[str, pa.DataType, list[Any]]] = {
        "day": ("date", pa.date32(), [dt.date(1, 1, 1), dt.date(1582, 10, 4), dt.date(9999, 12, 31)]),
        "then": (
            "timestamptz",
            pa.timestamp("us", "UTC"),
            [dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, dt.UTC), dt.datetime(1500, 1, 1, tzinfo=dt.UTC)],
        ),
        "number": ("double", pa.float64(), [0.0, -0.0, float("nan"), float("inf"), 1e300]),
        "whole": ("long", pa.int64(), [2**63 - 1, -(2**63), 0]),
        "exact": ("decimal(9, 2)", pa.decimal128(9, 2), [Decimal("0.07"), Decimal("-9999999.99")]),
        "text": ("string", pa.string(), ["", "a", "a ", "é", "e\u0301", "\x00", "x'y\\"]),
    }
    random = Random(7)
    rows = [
        {"id": i, "at": dt.date(1969, 12, 20) + dt.timedelta(i % 30), "amount": random.random(), "y": i % 2}
        | {name: random.choice([*values, None]) for name, (_, _, values) in edges.items()}
        for i in range(300)
    ]
    schema = [("id", pa.int64()), ("at", pa.date32()), ("amount", pa.float64()), ("y", pa.int32())]
    table = pa.Table.from_pylist(rows, pa.schema(schema + [(name, edge[1]) for name, edge in edges.items()]))
    types = {"id": "long", "at": "date", "amount": "double", "y": "int"} | {n: e[0] for n, e in edges.items()}
    declared = UseCase.model_validate(
        {
            "name": "edges",
            "table": {"name": "a.b", "key": ["id"], "event_time": "at"},
            "source": {"kind": "table"},
            "label": {"column": "y"},
            "features": [
                {"name": f"of_{name}", "as_of": past(entity, "sum", of="amount")}
                for name, entity in [*((n, n) for n in edges), ("two", ["day", "text"])]
            ],
        }
    )
    source, frame = feature_table(declared, types), spark_lake.spark.createDataFrame
    whole = by_id(in_process(table, feature_table(declared, types, DUCKDB), "r"))
    for rows_at_most in (None, 1000):
        assert by_id(in_spark(frame(table), source, "r", None, rows_at_most).toArrow()) == whole
        newest = in_spark(frame(table.slice(280)), source, "r", frame(table), rows_at_most)
        assert by_id(newest.toArrow()) == whole[280:]


@pytest.mark.parametrize("rows_at_most", [None, 1000])
def test_rows_that_are_left_out_afterwards_were_seen(spark_lake: SparkLake, rows_at_most: int | None) -> None:
    """Spark must not leave them out before the others have looked back at them."""
    day = dt.date(2020, 1, 1)
    same = {"who": 1, "where": "n", "amount": 2.0, "kind": "x", "born": day, "met": None}
    rows = [same | {"id": i, "at": day + dt.timedelta(days=i), "y": y} for i, y in enumerate([None, 1])]
    source = spark_lake.spark.createDataFrame(pa.Table.from_pylist(rows, schema=SCHEMA))
    table = feature_table(use_case(), dict(COLUMNS) | {"met": "timestamptz"})
    counts = next(f.name for past in table.past for f in past.features if f.aggregate == "count")
    computed = in_spark(source, table, "r", None, rows_at_most).where("_label IS NOT NULL")
    assert computed.select(counts).toArrow().to_pylist() == [{counts: 1.0}]
