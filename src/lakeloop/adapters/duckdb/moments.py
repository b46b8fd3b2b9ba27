"""Which columns of text or numbers are moments, and how they are written; turns them into dates and timestamps."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import duckdb

from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.time_formats import instant

SAMPLE_ROWS = 2_000
ISO_DATE = r"\d{4}-\d{2}-\d{2}"
ISO_TIMESTAMP = ISO_DATE + r"([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}:\d{2})?"
_DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d"),
    *("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%b %d %Y", "%b %d, %Y", "%Y%m%d"),
)
_TIMES = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", "T%H%M%S", ":%H:%M:%S"),
    *(" %I:%M %p", " %I:%M:%S %p", ", %H:%M", " %H:%M:%S %z", " %H:%M:%S%z", " %H:%M:%S UTC"),
)
FORMATS = tuple(day + time for day, time in product(_DAYS, _TIMES))
# Seconds since 1970 of the years 2000 to 2100: what other numbers in a column of times would be is anybody's guess.
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
_EPOCH_UNITS = {"epoch_seconds": 1, "epoch_milliseconds": 1000}


class Moments(NamedTuple):
    """Column -> how it is written where that is not ISO 8601, and column -> why it stays text."""

    formats: dict[str, str]
    remarks: dict[str, str]


def find_moments(connection: duckdb.DuckDBPyConnection, likely_times: set[str]) -> Moments:
    """Look at table `t`, as it was read from text, and give its moments their type.

    Args:
        connection: to the table.
        likely_times: columns that may hold epochs, by their names; other numbers are left alone.
    """
    found = Moments({}, {})
    described = connection.execute("DESCRIBE t").fetchall()
    for name, type_ in ((str(row[0]), str(row[1])) for row in described):
        if type_ == "VARCHAR":
            _text(connection, name, found)
        elif type_ in {"BIGINT", "DOUBLE"} and name in likely_times:
            _number(connection, name, found)
    return found


def _text(connection: duckdb.DuckDBPyConnection, name: str, found: Moments) -> None:
    column = DUCKDB.quoted(name)
    if _all(connection, f"regexp_full_match({column}, '{ISO_DATE}')"):
        _turn(connection, name, f"TRY_CAST({column} AS DATE)", "DATE")
        return
    if _all(connection, f"regexp_full_match({column}, '{ISO_TIMESTAMP}')"):
        moment = f"make_timestamp(epoch_us(TRY_CAST({column} AS TIMESTAMP WITH TIME ZONE)))"
        _turn(connection, name, moment, "TIMESTAMP")
        return
    fitting = [
        text for text in FORMATS if _all(connection, f"{instant(DUCKDB, column, text)} IS NOT NULL", name)
    ]
    if len(fitting) > 1:
        found.remarks[name] = f"written as {' or '.join(fitting[:2])}: say which in source.time_formats"
    elif fitting:
        kind = "TIMESTAMP" if "%H" in fitting[0] or "%I" in fitting[0] else "DATE"
        if _turn(connection, name, instant(DUCKDB, column, fitting[0]), kind):
            found.formats[name] = fitting[0]


def _number(connection: duckdb.DuckDBPyConnection, name: str, found: Moments) -> None:
    column = DUCKDB.quoted(name)
    for text, unit in _EPOCH_UNITS.items():
        inside = f"{column} BETWEEN {_FIRST_SECOND * unit} AND {_LAST_SECOND * unit}"
        if _all(connection, inside) and _turn(connection, name, instant(DUCKDB, column, text), "TIMESTAMP"):
            found.formats[name] = text
            return


def _all(connection: duckdb.DuckDBPyConnection, test: str, sampled: str = "") -> bool:
    """Whether the test holds of every value that there is, and there is one; of a sample of a column, if named."""
    table = "t"
    if sampled:
        column = DUCKDB.quoted(sampled)
        table = f"(SELECT {column} FROM t WHERE {column} IS NOT NULL LIMIT {SAMPLE_ROWS})"  # noqa: S608
    (answer,) = connection.execute(f"SELECT bool_and({test}) FROM {table}").fetchone() or (None,)  # noqa: S608
    return answer is True


def _turn(connection: duckdb.DuckDBPyConnection, name: str, value: str, kind: str) -> bool:
    """Change the column's type, unless a value would be lost by that."""
    column = DUCKDB.quoted(name)
    lost = f"SELECT count(*) FROM t WHERE {column} IS NOT NULL AND {value} IS NULL"  # noqa: S608
    if (connection.execute(lost).fetchone() or (1,))[0]:
        return False
    connection.execute(f"ALTER TABLE t ALTER COLUMN {column} TYPE {kind} USING CAST({value} AS {kind})")
    return True
