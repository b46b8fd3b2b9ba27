"""Expectations by DuckDB, which reads the same SQL: what each rule says of rows that a user would write."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.domain.errors import UserError
from lakeloop.domain.expectations import audit_sql, broken, judge, row_rules, summary
from lakeloop.domain.labels import label_sql
from lakeloop.domain.publication import table_problems
from lakeloop.domain.published_batches import landed_batches
from lakeloop.domain.snapshots import Column, Snapshot, TableState
from lakeloop.domain.use_case import Label, UseCase

COLUMNS = {"id": "long", "at": "timestamp", "amount": "double", "kind": "string", "failed": "int"}


def use_case(
    label: dict[str, Any] | None = None, columns: dict[str, str] | None = None, **rules: Any
) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "table": {"name": "a.pumps", "key": ["id"], "event_time": "at", "columns": columns or COLUMNS},
            "source": {"kind": "files", "path": "*.csv"},
            "expectations": rules,
            "label": label or {"column": "failed"},
            "features": ["amount"],
        }
    )


def found(case: UseCase, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """What Spark answers, by DuckDB: it quotes differently and has another name for a struct."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    aggregates = ", ".join(f"{sql} AS {alias}" for alias, sql in audit_sql(case).items())
    for spark, duck in (("`", '"'), ("\\'", "''"), ("struct(", "row(")):
        aggregates = aggregates.replace(spark, duck)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        if rows:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        cursor = connection.execute(f"SELECT {aggregates} FROM t")  # noqa: S608
        names = [column[0] for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone() or (), strict=True))


def failing(case: UseCase, rows: list[tuple[Any, ...]], known: int = 0) -> dict[str, int]:
    return {r.rule: r.failing_rows for r in broken(judge(case, found(case, rows), known))}


def row(
    i: int, amount: float | None = 1.0, kind: str | None = "a", failed: int | None = None
) -> tuple[Any, ...]:
    return (i, "2025-01-01", amount, kind, i % 2 if failed is None else failed)


GOOD = [row(i) for i in range(10)]


def test_a_good_batch_breaks_nothing() -> None:
    case = use_case(
        not_null=["id"],
        max_null_fraction={"amount": 0.1},
        ranges={"amount": {"min": 0, "max": 1}},
        allowed={"kind": ["a", "o'clock"]},
        unique=["id"],
        rows={"min": 10, "max": 10},
        label_rate={"min": 0.5, "max": 0.5},
    )
    assert failing(case, GOOD) == {}
    assert failing(case, [row(0, amount=None, kind="o'clock"), *GOOD[1:]]) == {}


@pytest.mark.parametrize(
    ("rules", "rows", "rule", "count"),
    [
        ({"not_null": ["kind"]}, [row(0, kind=None), *GOOD[1:]], "not_null(kind)", 1),
        (
            {"max_null_fraction": {"amount": 0.1}},
            [row(0, None), row(1, None), *GOOD[2:]],
            "max_null_fraction(amount)",
            2,
        ),
        ({"ranges": {"amount": {"min": 1.5}}}, GOOD, "range(amount)", 10),
        ({"ranges": {"amount": {"max": 0}}}, [row(0, None), *GOOD[1:]], "range(amount)", 9),
        ({"ranges": {"amount": {"min": 0}}}, [row(0, float("nan")), *GOOD[1:]], "range(amount)", 1),
        ({"allowed": {"kind": ["b"]}}, [row(0, kind=None), *GOOD[1:]], "allowed(kind)", 9),
        ({"unique": ["id"]}, [*GOOD, row(3)], "unique(id)", 1),
        ({"rows": {"min": 11}}, GOOD, "rows", 0),
        ({"rows": {"max": 9}}, GOOD, "rows", 0),
        ({"label_rate": {"min": 0.6}}, GOOD, "label_rate(failed)", 0),
        ({}, [row(0, failed=2), *GOOD[1:]], "label_values(failed)", 1),
        ({}, [row(i, failed=1) for i in range(10)], "label_classes(failed)", 0),
    ],
)
def test_each_rule_alone(rules: dict[str, Any], rows: list[Any], rule: str, count: int) -> None:
    assert failing(use_case(**rules), rows) == {rule: count}


def test_rows_the_table_has_already() -> None:
    case = use_case(unique=["id"])
    results = judge(case, found(case, GOOD), known_keys=4)
    assert (
        summary(results) == "new(id): 4 of 10 rows are in the table already, expected none in the table yet"
    )


def test_an_empty_batch_is_told_as_one() -> None:
    assert "rows" in failing(use_case(), [])
    assert "label_classes(failed)" in failing(use_case(), [])


def test_a_declared_rate_of_zero_admits_one_class() -> None:
    one_class = [row(i, failed=0) for i in range(10)]
    assert failing(use_case(), one_class) == {"label_classes(failed)": 0}
    assert failing(use_case(label_rate={"min": 0, "max": 0.3}), one_class) == {}


def test_labels_of_a_third_kind() -> None:
    case = use_case({"column": "kind", "positive": "a"})
    assert failing(case, [row(0, kind="b"), row(1, kind="c"), *GOOD[2:]]) == {"label_negatives(kind)": 0}
    assert failing(case, [row(0, kind="b"), row(1, kind=None), *GOOD[2:]]) == {}


@pytest.mark.parametrize(
    ("positive", "kind"), [(None, "string"), ("yes", "int"), (3, "boolean"), ("much", "double")]
)
def test_labels_that_cannot_be_read(positive: Any, kind: str) -> None:
    with pytest.raises(UserError, match=r"label\.positive"):
        label_sql(Label(column="failed", positive=positive), kind)


@given(st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | st.sampled_from("abc")), max_size=12))
def test_counts_are_those_of_python(values: list[tuple[int | None, str | None]]) -> None:
    case = use_case(not_null=["kind"], ranges={"amount": {"min": -2, "max": 3}}, allowed={"kind": ["a", "b"]})
    rows = [row(i, amount, kind) for i, (amount, kind) in enumerate(values)]
    answer = found(case, rows)
    counts = [answer[f"broken_{i}"] for i in range(len(row_rules(case)))]
    assert counts == [
        sum(kind is None for _, kind in values),
        sum(amount is not None and not -2 <= amount <= 3 for amount, _ in values),
        sum(kind == "c" for _, kind in values),
        0,
    ]


def test_a_batch_is_found_in_mains_history_only() -> None:
    snapshots = (
        Snapshot(snapshot_id="1", summary={"lakeloop.batch-id": "a"}),
        Snapshot(snapshot_id="2", parent_id="1", summary={"lakeloop.batch-id": "b"}),
        Snapshot(snapshot_id="3", parent_id="1", summary={"lakeloop.batch-id": "staged"}),
    )
    state = TableState(name="a.t", table_uuid="u", current_snapshot_id="2", snapshots=snapshots)
    assert {id_: r.snapshot_id for id_, r in landed_batches(state).items()} == {"a": "1", "b": "2"}
    assert landed_batches(None) == {}


def test_a_table_with_other_columns_is_told() -> None:
    iceberg = {
        "long": "long",
        "timestamp": "timestamptz",
        "double": "double",
        "string": "string",
        "int": "int",
    }
    columns = tuple(
        Column(field_id=i, name=n, type=iceberg[t]) for i, (n, t) in enumerate(COLUMNS.items(), 1)
    )
    state = TableState(name="a.t", table_uuid="u", schemas={0: columns})
    assert table_problems(use_case(), state) == []
    assert table_problems(use_case(), None) == []
    longer = state.model_copy(
        update={"schemas": {0: (*columns, Column(field_id=9, name="more", type="int"))}}
    )
    assert table_problems(use_case(), longer) == ["column 'more' of the table is not in table.columns"]
