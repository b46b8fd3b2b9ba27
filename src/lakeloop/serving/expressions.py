"""Raw columns -> feature columns, as Spark computed them for training; in DuckDB over Arrow."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from lakeloop.domain.errors import UserError
from lakeloop.domain.features import EncodedFeature, FeatureEncoding

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PER_THREAD = threading.local()


def raw_to_features(table: pa.Table, encoding: FeatureEncoding) -> pa.Table:
    """Feature columns, named as the features and in their order: doubles, and text for categories.

    Args:
        table: raw columns, at least `encoding.source_columns`.
        encoding: of the model.

    Raises:
        UserError: a raw column is missing, or an expression cannot be evaluated.
    """
    missing = [name for name in encoding.source_columns if name not in table.schema.names]
    if missing:
        raise UserError(f"column {missing[0]!r} is missing", where="rows", fix="send it, or null")
    if all(feature.column == feature.name for feature in encoding.features):
        return table.select([feature.name for feature in encoding.features])
    return _query(table, feature_query(encoding.features))


@functools.lru_cache(maxsize=64)
def feature_query(features: tuple[EncodedFeature, ...]) -> str:
    """DuckDB SQL that computes the features from a relation named `raw`."""
    return f"SELECT {', '.join(map(_selected, features))} FROM raw"  # noqa: S608 - the model's own text


def _selected(feature: EncodedFeature) -> str:
    source = _quoted(feature.column) if feature.column else f"({feature.expression})"
    type_ = "VARCHAR" if feature.type == "categorical" else "DOUBLE"
    return f"CAST({source} AS {type_}) AS {_quoted(feature.name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _query(table: pa.Table, query: str) -> pa.Table:
    import duckdb

    connection = _connection()
    connection.register("raw", table)
    try:
        return connection.execute(query).to_arrow_table()
    except duckdb.Error as error:
        raise UserError(f"{error}", where="feature expressions", fix="check the rows' types") from error
    finally:
        connection.unregister("raw")


def _connection() -> duckdb.DuckDBPyConnection:
    """One in-memory database a thread: connections are not shared between threads, and starting one costs."""
    if not hasattr(_PER_THREAD, "connection"):
        import duckdb

        _PER_THREAD.connection = duckdb.connect(":memory:", config={"threads": 1})
    connection: duckdb.DuckDBPyConnection = _PER_THREAD.connection
    return connection
