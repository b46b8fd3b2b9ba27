"""Feature values -> the matrix that the booster sees; one function for training, scoring and serving."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.errors import UserError
from lakeloop.domain.features import EncodedFeature, FeatureEncoding, FeatureSpec

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Rows = Sequence[Mapping[str, Any]]
MAX_CATEGORIES = 10_000
_STRING_LITERAL = re.compile(r"'(?:[^']|'')*'")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def fit_encoding(
    features: Iterable[FeatureSpec], table: pa.Table, raw_columns: Mapping[str, str], event_time: str = ""
) -> FeatureEncoding:
    """Order, types and category codes, learned from training rows.

    Args:
        features: as declared in the use case; their order is the booster's.
        table: training rows, one column per feature, named as the feature.
        raw_columns: the source table's columns -> their types, in the table's order.
        event_time: the table's event time, where a feature counts years up to it.

    Raises:
        UserError: a feature is not in `table`, or has more than `MAX_CATEGORIES` values.
    """
    specs = tuple(features)
    encoded = tuple(fit_feature(spec, _column(table, spec.name), event_time) for spec in specs)
    return FeatureEncoding(features=encoded, source_columns=source_columns(specs, raw_columns, event_time))


def fit_feature(spec: FeatureSpec, values: pa.ChunkedArray, event_time: str = "") -> EncodedFeature:
    """One feature's type and category codes, learned from its training values.

    Raises:
        UserError: more than `MAX_CATEGORIES` values.
    """
    kind = spec.type or ("categorical" if _is_text(values.type) else "numeric")
    categories: tuple[str, ...] = ()
    if kind == "categorical":
        distinct = pc.unique(_as_text(values)).to_pylist()
        categories = tuple(sorted(value for value in distinct if value is not None))
        if len(categories) > MAX_CATEGORIES:
            raise UserError(
                f"{len(categories)} distinct values; at most {MAX_CATEGORIES} are supported",
                where=f"feature {spec.name}",
                fix="use a coarser column, or declare it numeric",
            )
    return EncodedFeature(
        name=spec.name,
        type=kind,
        column=spec.served_column,
        expression=spec.served_expression(event_time),
        categories=categories,
        as_of=spec.as_of,
    )


def source_columns(
    features: Iterable[FeatureSpec], raw_columns: Mapping[str, str], event_time: str = ""
) -> dict[str, str]:
    """The columns that a caller sends -> their types: raw ones in the order of `raw_columns`, then as-of features.

    An expression reads each known column whose name stands in it outside a string literal (SQL names compare
    without case, as in Spark and DuckDB). What looks at earlier rows cannot be computed from one row: its value is
    sent, under the feature's name.
    """
    wanted, sent = set[str](), dict[str, str]()
    for feature in features:
        if feature.as_of is not None:
            of_text = feature.type == "categorical" or raw_columns.get(feature.as_of.of or "") == "string"
            sent[feature.name] = "string" if of_text and feature.as_of.aggregate == "last" else "double"
            continue
        wanted |= {word.lower() for word in _row_columns(feature, event_time)}
    return {name: type_ for name, type_ in raw_columns.items() if name.lower() in wanted} | sent


def _row_columns(feature: FeatureSpec, event_time: str) -> list[str]:
    if feature.expression is not None:
        return _IDENTIFIER.findall(_STRING_LITERAL.sub("''", feature.expression))
    return [feature.date_column, event_time] if feature.date_column else [feature.column or ""]


def encode(data: pa.Table | pa.RecordBatch | Rows, encoding: FeatureEncoding) -> Matrix:
    """Float32 matrix [rows, features] in the encoding's order.

    A null, an unparsable category and a category never seen in training become NaN, XGBoost's "missing". A
    category's code is its index in `categories`; booleans are 0 and 1.

    Args:
        data: Arrow rows or a list of dictionaries, each with every feature by its name (see
            `lakeloop.serving.expressions.raw_to_features` for raw columns).
        encoding: of the model.

    Raises:
        UserError: a feature is absent, or a value cannot be read as a number.
    """
    columns = _rows_to_columns(data, encoding) if isinstance(data, Sequence) else data
    matrix: Matrix = np.empty((columns.num_rows, len(encoding.features)), dtype=np.float32, order="C")
    for index, feature in enumerate(encoding.features):
        matrix[:, index] = encode_column(_column(columns, feature.name), feature)
    return matrix


def encode_column(
    values: pa.Array | pa.ChunkedArray, feature: EncodedFeature
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """One feature's float32 values [rows].

    Raises:
        UserError: a value cannot be read as a number.
    """
    if feature.type == "categorical":
        codes = pc.index_in(_as_text(values), pa.array(feature.categories, pa.string()))
        return _floats(codes, pa.float32())
    try:
        return _floats(values, pa.float64()).astype(np.float32)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(
            f"not a number: {error}", where=f"feature {feature.name}", fix="send a number or null"
        ) from error


def check_finite(values: np.ndarray[Any, np.dtype[np.float32]], feature: str) -> None:
    """Whether a model can be trained on a feature's values; NaN is "missing".

    Raises:
        UserError: some are infinite, or were too large for float32, which is what a booster sees.
    """
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise UserError(
            f"{infinite} values are infinite, or larger than the 3.4e38 that a model can see",
            where=f"feature {feature}",
            fix="refuse such rows by expectations.ranges, or declare an expression that makes a number or null of them",
        )


def _rows_to_columns(rows: Rows, encoding: FeatureEncoding) -> pa.Table:
    columns = {}
    for feature in encoding.features:
        missing = next((i for i, row in enumerate(rows) if feature.name not in row), None)
        if missing is not None:
            raise UserError(
                f"feature {feature.name!r} is missing", where=f"row {missing}", fix="send it, or null"
            )
        values = [row[feature.name] for row in rows]
        columns[feature.name] = (
            _text_array(values) if feature.type == "categorical" else _number_array(values, feature)
        )
    return pa.table(columns) if columns else pa.table({})


def _text_array(values: Sequence[Any]) -> pa.Array:
    texts = [None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    return pa.array(texts, pa.string())


def _number_array(values: Sequence[Any], feature: EncodedFeature) -> pa.Array:
    try:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    except (TypeError, ValueError) as error:
        raise UserError(
            f"not a number: {error}", where=f"feature {feature.name}", fix="send a number or null"
        ) from error


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.ChunkedArray:
    if name not in table.schema.names:
        raise UserError(
            f"feature {name!r} is missing",
            where="feature columns",
            fix=f"there are: {', '.join(table.schema.names)}",
        )
    return table.column(name)


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return bool(
        pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    )


def _as_text(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return values if values.type == pa.string() else pc.cast(values, pa.string())


def _floats(values: pa.Array | pa.ChunkedArray, type_: pa.DataType) -> np.ndarray[tuple[int], Any]:
    if pa.types.is_boolean(values.type):
        values = pc.cast(values, pa.int8())
    numbers = pc.cast(values, type_, safe=False)
    chunks = numbers.chunks if isinstance(numbers, pa.ChunkedArray) else [numbers]
    parts = [chunk.to_numpy(zero_copy_only=False) for chunk in chunks]
    return np.concatenate(parts) if parts else np.empty(0)
