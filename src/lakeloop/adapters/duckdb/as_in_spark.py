"""DuckDB set up to answer as Spark does, with ANSI mode off, where the two disagree about the undefined."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

AS_IN_SPARK = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET GLOBAL ieee_floating_point_ops = false",
    "SET GLOBAL error_on_division_by_zero = false",
    *(f"CREATE MACRO {name}(x) AS TRY(system.main.{name}(x))" for name in ("ln", "log2", "log10")),
    "CREATE MACRO log(x) AS TRY(system.main.ln(x)), (base, x) AS ln(x) / ln(base)",
    "CREATE MACRO sqrt(x) AS CASE WHEN x < 0 THEN 'nan'::DOUBLE ELSE TRY(system.main.sqrt(x)) END",
)
"""Each function answers the undefined by itself, as Spark's does: a TRY around the expression alone misses what
DuckDB computes before it, such as a part that two expressions share. Spark's `log(x)` is DuckDB's `ln(x)`."""

CLOSED = ("SET GLOBAL enable_external_access = false", "SET GLOBAL lock_configuration = true")
"""No files, no network, and no way back."""


def spark_like_database() -> duckdb.DuckDBPyConnection:
    """An empty database in memory for a use case's expressions over Arrow rows, in their order.

    Connections of one process share an instance, which takes 15 ms to make; what one registers the others do not see.
    """
    return _instance(os.getpid()).cursor()


@functools.cache
def _instance(_pid: int) -> duckdb.DuckDBPyConnection:
    """One a process: a forked one has none of its parent's threads."""
    import duckdb

    connection = duckdb.connect(":memory:")
    for statement in (*AS_IN_SPARK, *CLOSED):
        connection.execute(statement)
    return connection
