"""Comparing rows with DuckDB over Arrow streams; what does not fit into memory goes to a temporary folder."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from lakeloop.domain.table_diff import ColumnStatistics, RowChanges

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_LIMIT = "1GB"
_ORDERED = (
    "BOOLEAN",
    "INTEGER",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DATE",
    "TIMESTAMP",
    "TIME",
    "VARCHAR",
    "DECIMAL",
)
_NUMBERS = ("INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL")


class DuckdbRowComparer:
    """Implements `lakeloop.ports.comparison.RowComparer`."""

    def statistics(self, batches: Iterator[pa.RecordBatch]) -> tuple[ColumnStatistics, ...]:
        """One pass over the rows."""
        names, reader = _reader(batches)
        with _connection() as connection:
            connection.register("incoming", reader)
            types = [str(t) for t in connection.sql("SELECT * FROM incoming LIMIT 0").types]
            columns = [_facts_sql(i, t) for i, t in enumerate(types)]
            row = connection.execute(
                f"SELECT count(*), {', '.join(columns)} FROM incoming"  # noqa: S608 - own names
            ).fetchone()
        rows, *facts = row or (0,)
        return tuple(_statistics(name, rows, facts[5 * i : 5 * i + 5]) for i, name in enumerate(names))

    def compare(
        self,
        gone: Iterator[pa.RecordBatch],
        come: Iterator[pa.RecordBatch],
        key: Sequence[str] = (),
        most_rows: int = 10,
    ) -> RowChanges:
        """The net changes between two multisets of rows with the same columns."""
        names, old = _reader(gone)
        _, new = _reader(come)
        with _connection() as connection:
            connection.register("old_rows", old)
            connection.register("new_rows", new)
            connection.execute(
                "CREATE TABLE changes AS SELECT * EXCLUDE (side), sum(side) AS n FROM ("
                "SELECT *, 1 AS side FROM new_rows UNION ALL SELECT *, -1 AS side FROM old_rows"
                ") GROUP BY ALL HAVING sum(side) <> 0"
            )
            counts = connection.execute(
                "SELECT coalesce(sum(n) FILTER (n > 0), 0), coalesce(-sum(n) FILTER (n < 0), 0) FROM changes"
            ).fetchone() or (0, 0)
            by_key = [f"c{names.index(k)}" for k in key]
            return RowChanges(
                method="rows",
                added=int(counts[0]),
                removed=int(counts[1]),
                changed_keys=_changed_keys(connection, by_key) if key else None,
                added_rows=_rows(connection, names, "n > 0", by_key, most_rows),
                removed_rows=_rows(connection, names, "n < 0", by_key, most_rows),
            )


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(prefix="lakeloop-diff-") as folder:
        settings = {"memory_limit": MEMORY_LIMIT, "temp_directory": folder, "preserve_insertion_order": False}
        with duckdb.connect(str(Path(folder) / "rows.duckdb"), config=settings) as connection:
            yield connection


def _reader(batches: Iterator[pa.RecordBatch]) -> tuple[list[str], pa.RecordBatchReader]:
    """Column names, and the stream with columns `c0`, `c1`... and instants as plain UTC timestamps.

    DuckDB would need its time zone extension for the latter.
    """
    import pyarrow as pa

    first = next(batches)
    fields = [pa.field(f"c{i}", _plain(f.type)) for i, f in enumerate(first.schema)]
    schema = pa.schema(fields)

    def renamed() -> Iterator[pa.RecordBatch]:
        for batch in chain([first], batches):
            arrays = [a.cast(f.type) for a, f in zip(batch.columns, fields, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return list(first.schema.names), pa.RecordBatchReader.from_batches(schema, renamed())


def _plain(type_: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp(type_.unit) if pa.types.is_timestamp(type_) and type_.tz else type_


def _facts_sql(index: int, type_: str) -> str:
    """Five aggregates: values, minimum, maximum, mean, distinct values."""
    column, kind = f"c{index}", type_.partition("(")[0]
    is_ordered = kind in _ORDERED and not type_.endswith("]")
    ends = [f"CAST({end}({column}) AS VARCHAR)" if is_ordered else "NULL" for end in ("min", "max")]
    number = f"CAST({column} AS DOUBLE)"
    mean = f"avg({number}) FILTER (isfinite({number}))" if kind in _NUMBERS and is_ordered else "NULL"
    distinct = f"approx_count_distinct({column})" if is_ordered else "NULL"
    return f"count({column}), {', '.join(ends)}, {mean}, {distinct}"


def _statistics(name: str, rows: int, facts: Sequence[Any]) -> ColumnStatistics:
    count, low, high, mean, distinct = facts
    return ColumnStatistics(
        name=name,
        count=count,
        nulls=rows - count,
        min=low,
        max=high,
        mean=mean if mean is not None and math.isfinite(mean) else None,
        # The estimate may be larger than what is counted exactly.
        distinct=min(distinct, count) if distinct is not None else None,
    )


def _changed_keys(connection: duckdb.DuckDBPyConnection, key: Sequence[str]) -> int:
    found = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM changes GROUP BY {', '.join(key)} "  # noqa: S608 - own names
        "HAVING bool_or(n > 0) AND bool_or(n < 0))"
    ).fetchone()
    return int(found[0]) if found else 0


def _rows(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], side: str, key: Sequence[str], most: int
) -> tuple[dict[str, Any], ...]:
    order = ", ".join(key) or "ALL"
    query = f"SELECT * EXCLUDE (n) FROM changes WHERE {side} ORDER BY {order} LIMIT {most}"  # noqa: S608
    found = connection.execute(query).fetchall()
    return tuple(dict(zip(names, row, strict=True)) for row in found)
