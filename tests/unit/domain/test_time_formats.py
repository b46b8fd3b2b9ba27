"""Moments as people write them, read by both engines in the same way."""

from __future__ import annotations

import duckdb
import pytest

from lakeloop.domain.dialects import DUCKDB, SPARK
from lakeloop.domain.time_formats import instant, problem_of

CASES = [
    ("%d/%m/%Y %H:%M", "01/03/2024 08:20", "2024-03-01T08:20:00"),
    ("%d/%m/%Y %H:%M", "1/3/2024 8:20", "2024-03-01T08:20:00"),
    ("%m/%d/%Y %I:%M %p", "3/1/2024 12:05 pm", "2024-03-01T12:05:00"),
    ("%d.%m.%Y", "31.12.2023", "2023-12-31T00:00:00"),
    ("%Y%m%dT%H%M%S", "20240229T235959", "2024-02-29T23:59:59"),
    ("%d-%b-%Y", "05-Jan-2024", "2024-01-05T00:00:00"),
    ("%Y-%m-%d %H:%M:%S.%f", "2024-03-01 08:20:30.000045", "2024-03-01T08:20:30.000045"),
    ("%d/%m/%Y %H:%M:%S %z", "01/03/2024 08:20:30 +02:00", "2024-03-01T06:20:30"),
    ("%Y-%m-%d at %H o'clock", "2024-03-01 at 8 o'clock", "2024-03-01T08:00:00"),
    ("epoch_seconds", "1709281230.5", "2024-03-01T08:20:30.500000"),
    ("epoch_milliseconds", "1709281230500", "2024-03-01T08:20:30.500000"),
]
MISFITS = [
    ("%d/%m/%Y %H:%M", "2024-03-01 08:20"),
    ("%d/%m/%Y %H:%M", "31/02/2024 08:20"),
    ("%d/%m/%Y", "01/03/2024 08:20"),
    ("%d/%m/%Y", "01/03/24"),
    ("%Y%m%d", "2024031"),
    ("epoch_seconds", "yesterday"),
    ("epoch_seconds", ""),
]


def read(time_format: str, text: str) -> str | None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT CAST({instant(DUCKDB, 'v', time_format)} AS TIMESTAMP) FROM (SELECT ? AS v)"  # noqa: S608
        (found,) = connection.execute(query, [text]).fetchone() or (None,)
        return None if found is None else str(found.isoformat())


@pytest.mark.parametrize(("time_format", "text", "expected"), CASES)
def test_duckdb_reads_what_is_so_written(time_format: str, text: str, expected: str) -> None:
    assert problem_of(time_format) == ""
    assert read(time_format, text) == expected


@pytest.mark.parametrize(("time_format", "text"), MISFITS)
def test_anything_else_is_no_value(time_format: str, text: str) -> None:
    assert read(time_format, text) is None


@pytest.mark.parametrize(
    ("time_format", "problem"),
    [
        ("%d/%m/%y", "%y is not read"),
        ("%H:%M", "a day needs"),
        ("%Y-%m", "a day needs"),
        ("%Y-%m-%d %I:%M", "%I needs %p"),
        ("epoch", "a day needs"),
        ("%Y-%m-%d %", "is not read"),
    ],
)
def test_a_format_that_cannot_be_read_alike_is_refused(time_format: str, problem: str) -> None:
    assert problem in problem_of(time_format)


def test_spark_gets_javas_letters_one_where_no_digit_can_follow() -> None:
    assert "'d\\'/\\'M\\'/\\'yyyy\\' \\'H\\':\\'m'" in instant(SPARK, "v", "%d/%m/%Y %H:%M")
    assert "'yyyyMMdd\\'T\\'HHmmss'" in instant(SPARK, "v", "%Y%m%dT%H%M%S")
