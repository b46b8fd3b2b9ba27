"""Source rows -> feature rows in this process: DuckDB for what a row says itself, the shared kernel for its past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from lakeloop.adapters.duckdb.as_in_spark import spark_like_database
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.feature_rows import LABEL_COLUMN
from lakeloop.domain.feature_table import UNKNOWN_LABEL, FeatureTable
from lakeloop.domain.past_columns import PastColumns
from lakeloop.domain.snapshots import RANGE_ID_COLUMN

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_CHUNK_ROWS = 65_536


def feature_rows(
    source: pa.Table, table: FeatureTable, range_id: str, history: pa.Table | None = None
) -> pa.Table:
    """The table's columns, `_range_id` last; rows without a label are still there.

    Args:
        source: rows of the range, in any order; the result keeps it.
        table: with the expressions in DuckDB's SQL.
        range_id: of the range.
        history: rows of the table up to the range's end, those of the range and all others of its entities; None
            where `source` is that.

    Raises:
        UserError: a feature cannot be computed, or the label has values of neither class.
    """
    import pyarrow as pa

    connection = spark_like_database()
    try:
        own = {c.name: c.sql for c in table.columns if c.sql is not None}
        computed = _select(connection, source, own, _tried)
        columns = dict(zip(own, computed.columns, strict=True))
        for past in table.past:
            columns |= _past(connection, source, history, past)
    finally:
        connection.close()
    columns[RANGE_ID_COLUMN] = _repeated(range_id, source.num_rows)
    return pa.table({name: columns[name] for name in table.types})


def _repeated(text: str, rows: int) -> pa.ChunkedArray:
    """So many times the text, in chunks that share their memory."""
    import pyarrow as pa

    chunk = pa.repeat(pa.scalar(text), min(rows, _CHUNK_ROWS))
    sizes = [min(_CHUNK_ROWS, rows - start) for start in range(0, rows, _CHUNK_ROWS)]
    return pa.chunked_array([chunk.slice(0, size) for size in sizes], pa.string())


def past_values(rows: pa.Table, history: pa.Table, past: Iterable[PastColumns]) -> dict[str, pa.Array]:
    """As-of features of rows, by name, in the rows' order.

    Args:
        rows: that look back; with what `past` reads.
        history: that is looked at; where `rows` are part of it, they see nothing of themselves.
        past: of the feature table, in DuckDB's SQL.
    """
    connection = spark_like_database()
    try:
        found: dict[str, pa.Array] = {}
        for columns in past:
            found |= _past(connection, rows, history, columns)
    finally:
        connection.close()
    return found


def _past(
    connection: duckdb.DuckDBPyConnection, source: pa.Table, history: pa.Table | None, past: PastColumns
) -> dict[str, pa.Array]:
    from lakeloop.domain.past_in_memory import past_of

    looking = _select(connection, source, past.sql)
    return past_of(looking, past, None if history is None else _select(connection, history, past.sql))


def _tried(name: str, sql: str) -> str:
    """What cannot be computed is null, as in Spark; but a wrong label stops everything."""
    return sql if name == LABEL_COLUMN else f"TRY({sql})"


def _select(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    columns: Mapping[str, str],
    as_said: Callable[[str, str], str] = lambda _, sql: sql,
) -> pa.Table:
    """Columns by name, which are SQL over the rows; a plain column of numbers or dates is the rows' own, not a copy.

    Args:
        connection: an empty database.
        rows: in any order, which stays.
        columns: name -> SQL.
        as_said: name and SQL -> the SQL that is evaluated.
    """
    import duckdb
    import pyarrow as pa

    plain = {DUCKDB.quoted(f.name): f.name for f in rows.schema if _same_in_duckdb(f.type)}
    found = {name: rows.column(plain[sql]) for name, sql in columns.items() if sql in plain}
    listed = [f'{as_said(n, sql)} AS "{n}"' for n, sql in columns.items() if n not in found]
    if listed:
        connection.register("source", rows)
        try:
            text = f"SELECT {', '.join(listed)} FROM source"  # noqa: S608 - the use case's own text
            computed = connection.sql(text).to_arrow_table()
        except duckdb.Error as error:
            raise explained(error) from error
        finally:
            connection.unregister("source")
        found |= dict(zip(computed.column_names, computed.columns, strict=True))
    return pa.table({name: found[name] for name in columns})


def _same_in_duckdb(kind: pa.DataType) -> bool:
    """Whether DuckDB gives the type back as it gets it."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_date32(kind) or kind == pa.float64())


def explained(error: Exception) -> LakeloopError:
    """DuckDB's refusal as one clear error."""
    text = str(error).strip().splitlines()[0]
    if UNKNOWN_LABEL in text:
        return UserError(
            "the label has values of neither class",
            where="label",
            fix="declare label.positive, or clean the rows",
        )
    return UserError(f"a feature cannot be computed: {text}", where="features", fix="correct its expression")
