"""Raw columns -> feature columns, with the values that Spark computed for training.

Plain columns stay in Arrow; only expressions go through DuckDB, all of them in one query. Where the two
engines disagree about the undefined (1/0, ln of a negative number), DuckDB is made to answer as Spark does;
any other difference is what a rollout's proof finds.
"""

from __future__ import annotations

import functools
import threading
import warnings
from typing import TYPE_CHECKING

from lakeloop.adapters.duckdb.as_in_spark import AS_IN_SPARK, CLOSED
from lakeloop.domain.errors import UserError
from lakeloop.domain.features import EncodedFeature, FeatureEncoding

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PER_THREAD = threading.local()
_FOR_SINGLE_ROWS = "PRAGMA disable_optimizer"
"""A third of a single row's time, and it can only move what may fail."""


def raw_to_features(table: pa.Table, encoding: FeatureEncoding) -> pa.Table:
    """Feature columns, named as the features and in their order.

    Args:
        table: raw columns, at least `encoding.source_columns`.
        encoding: of the model.

    Raises:
        UserError: a raw column is missing, or an expression cannot be evaluated.
    """
    import pyarrow as pa

    missing = [name for name in encoding.source_columns if name not in table.schema.names]
    if missing:
        raise UserError(f"column {missing[0]!r} is missing", where="rows", fix="send it, or null")
    computed = evaluate(table, tuple(f for f in encoding.features if f.expression))
    columns = [table.column(f.column) if f.column else computed.column(f.name) for f in encoding.features]
    return pa.table(columns, names=encoding.names)


def evaluate(table: pa.Table, features: tuple[EncodedFeature, ...]) -> pa.Table:
    """Expression features over the rows of `table`: doubles, and text for categories.

    Raises:
        UserError: DuckDB cannot evaluate an expression over these columns.
    """
    if not features:
        return table.select([])
    import duckdb

    connection = _connection()
    connection.register("raw", table)
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            return connection.execute(feature_query(features)).to_arrow_table()
    except duckdb.Error as error:
        names = ", ".join(f.name for f in features)
        problem = str(error).strip().splitlines()[0]
        raise UserError(problem, where=f"features {names}", fix="check the expression") from error
    finally:
        connection.unregister("raw")


@functools.lru_cache(maxsize=64)
def feature_query(features: tuple[EncodedFeature, ...]) -> str:
    """DuckDB SQL that computes the expressions from a relation named `raw`."""
    return f"SELECT {', '.join(map(_selected, features))} FROM raw"  # noqa: S608 - the model's own text


def _selected(feature: EncodedFeature) -> str:
    type_ = "VARCHAR" if feature.type == "categorical" else "DOUBLE"
    return f"TRY(CAST(({feature.expression}) AS {type_})) AS {_quoted(feature.name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _connection() -> duckdb.DuckDBPyConnection:
    """One in-memory database a thread: connections are not shared between threads, and starting one costs."""
    if not hasattr(_PER_THREAD, "connection"):
        import duckdb

        connection = duckdb.connect(":memory:", config={"threads": 1})
        for statement in (*AS_IN_SPARK, _FOR_SINGLE_ROWS, *CLOSED):
            connection.execute(statement)
        _PER_THREAD.connection = connection
    kept: duckdb.DuckDBPyConnection = _PER_THREAD.connection
    return kept
