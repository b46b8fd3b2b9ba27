"""Partition transforms that Iceberg has, of columns that they fit; anything else is said before a table is made."""

from __future__ import annotations

import pytest

from lakeloop.domain.partitions import partition_problem

COLUMNS = {"id": "long", "at": "timestamp", "day": "date", "kind": "string", "amount": "double", "a b": "int"}


@pytest.mark.parametrize(
    "text",
    [
        *("days(at)", "day(at)", " years( day ) ", "hours(at)", "months(`at`)", "DAYS(at)"),
        *("bucket(16, id)", "truncate(3, `kind`)", "truncate(10,a b)", "kind", "identity(amount)"),
    ],
)
def test_what_iceberg_has(text: str) -> None:
    assert not partition_problem(text, COLUMNS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("foo(at)", "'foo' is no transform"),
        ("buckets(4, id)", "'buckets' is no transform"),
        ("days(att)", "column 'att' is not in table.columns"),
        ("day_of", "column 'day_of' is not in table.columns"),
        ("days(amount)", "'amount' is declared as double"),
        ("hours(day)", "'day' is declared as date"),
        ("bucket(id)", "a number comes first"),
        ("days(3, at)", "the column only"),
        ("bucket(4, amount)", "no bucket"),
    ],
)
def test_what_it_has_not(text: str, named: str) -> None:
    assert named in partition_problem(text, COLUMNS)
