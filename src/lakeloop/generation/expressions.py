"""SQL expressions over Arrow columns, by DuckDB: one thread, no files, no network."""

from __future__ import annotations

from functools import cache

import duckdb
import pyarrow as pa

from lakeloop.domain.errors import UserError

SQL_TYPES = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "REAL",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


def evaluate(expression: str, sql_type: str, rows: pa.Table, where: str) -> pa.ChunkedArray:
    """The expression's value on every row, in the rows' order.

    Args:
        expression: scalar SQL over the columns of `rows`.
        sql_type: DuckDB type of the result; empty: as it comes.
        rows: the columns; instants in UTC, without a time zone.
        where: place of the expression, for errors.

    Raises:
        UserError: it does not parse, names an unknown column, or fails on a row.
    """
    cast = f"CAST(({expression}) AS {sql_type})" if sql_type else f"({expression})"
    with _database().cursor() as connection:
        connection.register("generated", rows)
        try:
            result = connection.sql(f"SELECT {cast} AS value FROM generated").to_arrow_table()  # noqa: S608
        except duckdb.Error as error:
            first_line = str(error).strip().splitlines()[0]
            raise UserError(
                f"{first_line} in: {expression}", where=where, fix="name only columns declared above it"
            ) from error
    if result.num_rows != rows.num_rows:
        raise UserError(
            f"not one value a row: {expression}", where=where, fix="use scalar SQL, no aggregates"
        )
    return result.column("value")


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One empty database a process: opening one costs more than most expressions."""
    return duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})
