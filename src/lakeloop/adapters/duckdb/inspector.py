"""Inspector over DuckDB: one pass for types and counts, then a few exact looks for keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from glob import glob
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from lakeloop.adapters.duckdb.file_headers import check_header, unreadable
from lakeloop.adapters.duckdb.moments import Moments, find_moments
from lakeloop.domain.errors import UserError
from lakeloop.domain.table_facts import NUMERIC, TIME_NAMES, ColumnFacts, TableFacts
from lakeloop.domain.use_case import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 1_000_000
FEW_VALUES = 20
# Without BOOLEAN, which DuckDB reads from yes/no and Spark only from true/false, and without moments: see `moments`.
CSV_TYPES = ["BIGINT", "DOUBLE", "VARCHAR"]
KEY_COLUMNS_TRIED = 6
NO_MOMENTS = Moments({}, {})
FORMATS: dict[str, Literal["csv", "parquet", "json"]] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".gz": "csv",
    ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
TYPES: dict[str, ColumnType] = {
    "BOOLEAN": "boolean", "TINYINT": "int", "SMALLINT": "int", "INTEGER": "int", "UTINYINT": "int",
    "USMALLINT": "int", "UINTEGER": "long", "BIGINT": "long", "UBIGINT": "double", "HUGEINT": "double",
    "FLOAT": "float", "DOUBLE": "double", "DATE": "date", "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp", "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp", "TIMESTAMPTZ_NS": "timestamp",
    "VARCHAR": "string", "UUID": "string", "TIME": "string",
}  # fmt: skip
_NOT_IN_PARQUET = {"UBIGINT", "HUGEINT", "TIME", "UUID"}


class DuckdbInspector:
    """Looks at up to `MAX_ROWS` rows, in memory."""

    def files(self, path: str) -> TableFacts:
        """See `Inspector.files`."""
        found = sorted(glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not found:
            raise UserError(f"no file matches {path}", fix="correct the path")
        if Path(found[0]).is_dir():
            raise UserError("this is a folder", where=found[0], fix="name its files, e.g. by FOLDER/*.csv")
        kind = FORMATS.get(Path(found[0]).suffix.lower())
        if kind is None:
            raise UserError("not a CSV, Parquet or JSON file by its name", where=found[0], fix="rename it")
        with duckdb.connect() as connection:
            try:
                moments, delimiter = _load(connection, kind, found)
            except duckdb.Error as error:
                raise unreadable(error, kind, path) from error
            check_header(kind, found[0], delimiter, [name for name, _ in _described(connection)])
            return _facts(connection, path, kind, moments, delimiter)

    def rows(self, name: str, batches: Iterator[pa.RecordBatch]) -> TableFacts:
        """See `Inspector.rows`."""
        import pyarrow as pa

        taken = list(_up_to(batches, MAX_ROWS))
        if not taken:
            raise UserError("the table has no rows", where=name, fix="land a batch first")
        with duckdb.connect() as connection:
            connection.register("given", pa.Table.from_batches(taken))
            connection.execute("CREATE TABLE t AS SELECT * FROM given")
            return _facts(connection, name, "table", NO_MOMENTS, ",")


def _up_to(batches: Iterator[pa.RecordBatch], limit: int) -> Iterator[pa.RecordBatch]:
    seen = 0
    for batch in batches:
        if seen >= limit:
            return
        seen += batch.num_rows
        yield batch


def _load(connection: duckdb.DuckDBPyConnection, kind: str, found: list[str]) -> tuple[Moments, str]:
    if kind != "csv":
        reader = "read_parquet(?)" if kind == "parquet" else "read_json(?, format='newline_delimited')"
        connection.execute(f"CREATE TABLE t AS SELECT * FROM {reader} LIMIT {MAX_ROWS}", [found])  # noqa: S608
        return NO_MOMENTS, ","
    connection.execute("SET TimeZone = 'UTC'")
    read = f"read_csv(?, nullstr=['', 'NA'], sample_size=200000, auto_type_candidates={CSV_TYPES})"
    connection.execute(f"CREATE TABLE t AS SELECT * FROM {read} LIMIT {MAX_ROWS}", [found])  # noqa: S608
    likely = {name for name, _ in _described(connection) if TIME_NAMES.search(name)}
    return find_moments(connection, likely), _delimiter(connection, found[0])


def _delimiter(connection: duckdb.DuckDBPyConnection, path: str) -> str:
    query = "SELECT Delimiter FROM sniff_csv(?, nullstr=['', 'NA'])"
    return str((connection.execute(query, [path]).fetchone() or (",",))[0])


def _described(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return [(row[0], str(row[1])) for row in connection.execute("DESCRIBE t").fetchall()]


def _facts(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    kind: Literal["csv", "parquet", "json", "table"],
    moments: Moments,
    delimiter: str,
) -> TableFacts:
    (rows,) = connection.execute("SELECT count(*) FROM t").fetchone() or (0,)
    if rows == 0:
        raise UserError("there are no rows", where=source, fix="give data to look at")
    columns = [
        _column(
            connection,
            name,
            _deliverable(type_, kind),
            moments.remarks.get(name, ""),
            moments.formats.get(name, ""),
        )
        for name, type_ in _described(connection)
    ]
    return TableFacts(
        source=source,
        kind=kind,
        rows=rows,
        columns=tuple(columns),
        unique=tuple(_unique(connection, columns, rows)),
        csv_delimiter=delimiter,
    )


def _type(duckdb_type: str) -> ColumnType | None:
    if duckdb_type.startswith("DECIMAL"):
        return "double"
    return "string" if duckdb_type.startswith("ENUM") else TYPES.get(duckdb_type)


def _deliverable(duckdb_type: str, kind: str) -> str:
    """A type of Parquet's that no batch may have has no name among `TYPES`; a run would refuse the draft."""
    return (
        f"{duckdb_type} of Parquet" if kind == "parquet" and duckdb_type in _NOT_IN_PARQUET else duckdb_type
    )


def _column(
    connection: duckdb.DuckDBPyConnection, name: str, duckdb_type: str, remark: str, time_format: str
) -> ColumnFacts:
    type_ = "string" if remark else _type(duckdb_type)
    if type_ is None:
        return ColumnFacts(name=name, type=None, remark=f"type {duckdb_type}")
    quoted, numeric = _quoted(name), type_ in NUMERIC
    ends = _ends(quoted, type_) if numeric else "NULL, NULL"
    counted: Any = connection.execute(
        f"SELECT count(*) - count({quoted}), count(DISTINCT {quoted}), {ends} FROM t"  # noqa: S608
    ).fetchone()
    nulls, distinct, low, high = counted
    values = _values(connection, quoted) if distinct <= FEW_VALUES else {}
    if type_ == "string" and values and {value.lower() for value in values} <= {"true", "false"}:
        type_ = "boolean"
    return ColumnFacts(
        name=name,
        type=type_,
        nulls=nulls,
        distinct=distinct,
        min=low,
        max=high,
        values=values,
        remark=remark,
        time_format=time_format,
    )


def _ends(quoted: str, type_: str) -> str:
    """Smallest and largest value; none where there are NaN or infinite ones, which no range has room for."""
    ends = f"min({quoted})::DOUBLE, max({quoted})::DOUBLE"
    if type_ not in {"float", "double"}:
        return ends
    finite = f"bool_and(isfinite({quoted}::DOUBLE))"
    return f"CASE WHEN {finite} THEN min({quoted})::DOUBLE END, CASE WHEN {finite} THEN max({quoted})::DOUBLE END"


def _values(connection: duckdb.DuckDBPyConnection, quoted: str) -> dict[str, int]:
    counted = connection.execute(
        f"SELECT {quoted}::VARCHAR, count(*) FROM t WHERE {quoted} IS NOT NULL GROUP BY 1 ORDER BY 1"  # noqa: S608
    ).fetchall()
    return {str(value): int(count) for value, count in counted}


def _unique(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnFacts], rows: int
) -> Iterator[tuple[str, ...]]:
    """Single columns that identify a row; where there are none, the first pair or triple that does."""
    whole = [c for c in columns if c.nulls == 0 and c.type in {"string", "int", "long", "date", "timestamp"}]
    singles = [(c.name,) for c in whole if c.distinct == rows]
    yield from singles
    if singles:
        return
    widest = sorted(whole, key=lambda c: -c.distinct)[:KEY_COLUMNS_TRIED]
    for size in (2, 3):
        found = (names for names in _name_sets(widest, size) if _identify(connection, names, rows))
        first = list(islice(found, 1))
        yield from first
        if first:
            return


def _name_sets(columns: Sequence[ColumnFacts], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(column.name for column in chosen) for chosen in combinations(columns, size))


def _identify(connection: duckdb.DuckDBPyConnection, names: Sequence[str], rows: int) -> bool:
    listed = ", ".join(map(_quoted, names))
    query = f"SELECT count(*) FROM (SELECT DISTINCT {listed} FROM t)"  # noqa: S608 - quoted identifiers
    (distinct,) = connection.execute(query).fetchone() or (0,)
    return bool(distinct == rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
