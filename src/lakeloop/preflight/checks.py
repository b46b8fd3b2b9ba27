"""Try a use case's expressions and parameters on a handful of made-up rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakeloop.domain.boosting import boosting_parameters
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import feature_table
from lakeloop.domain.features import EncodedFeature
from lakeloop.domain.synthetic import SyntheticSource
from lakeloop.domain.use_case import Train, UseCase
from lakeloop.preflight.expressions import check_meaning

if TYPE_CHECKING:
    import pyarrow as pa

_ARROW_TYPES = {
    "string": "string",
    "boolean": "bool",
    "int": "int32",
    "long": "int64",
    "float": "float",
    "double": "double",
    "date": "date32",
}
_ROWS = 8
_NO_NUMBERS = ("VARCHAR", "DATE", "TIME", "INTERVAL", "BLOB")


def check_use_case(use_case: UseCase) -> None:
    """Evaluate every expression and train two rounds, in about a second.

    Raises:
        UserError: an expression names an unknown column, is no SQL, depends on the clock, or reads the label; a feature
            or the label cannot be what it is declared as; or XGBoost refuses a parameter.
    """
    if isinstance(use_case.source, SyntheticSource):
        from lakeloop.generation.rows import check_expressions

        check_expressions(use_case)
    for feature in use_case.features:
        if feature.expression:
            check_meaning(feature.name, feature.expression, use_case.table.columns)
    if use_case.table.columns:
        _check_features(use_case)
        feature_table(use_case, use_case.table.columns)
    _check_parameters(use_case.train)


def _check_features(use_case: UseCase) -> None:
    """Each by itself, so that the error names the one."""
    import pyarrow as pa

    from lakeloop.serving.expressions import evaluate

    types = {
        c: pa.type_for_alias(_ARROW_TYPES[t]) for c, t in use_case.table.columns.items() if t != "timestamp"
    }
    types |= {c: pa.timestamp("us", "UTC") for c, t in use_case.table.columns.items() if t == "timestamp"}
    empty = pa.table({name: pa.nulls(_ROWS, kind) for name, kind in types.items()})
    for feature in use_case.features:
        if feature.expression:
            kind = feature.type or "numeric"
            evaluate(empty, (EncodedFeature(name=feature.name, type=kind, expression=feature.expression),))
            if kind == "numeric":
                _check_number(feature.name, feature.expression, empty)


def _check_number(name: str, expression: str, rows: pa.Table) -> None:
    """Text and moments would be null in every row, and the model trained without the feature."""
    from lakeloop.adapters.duckdb.as_in_spark import spark_like_database

    connection = spark_like_database()
    try:
        connection.register("raw", rows)
        found = str(connection.sql(f"SELECT ({expression}) FROM raw").types[0])  # noqa: S608 - evaluated before
    finally:
        connection.close()
    if found.startswith(_NO_NUMBERS):
        raise UserError(
            f"its expression gives {found}, no number",
            where=f"feature {name}",
            fix="declare type: categorical, or make a number of it, e.g. by CAST(... AS DOUBLE)",
        )


def _check_parameters(train: Train) -> None:
    import numpy as np

    from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost

    # isort: split
    import xgboost as xgb

    from lakeloop.training.boosting import naming_parameters

    parameters = boosting_parameters(train)
    matrix = xgb.DMatrix(np.arange(_ROWS, dtype=np.float32).reshape(-1, 1), label=np.arange(_ROWS) % 2)
    try:
        with naming_parameters():
            xgb.train(parameters, matrix, num_boost_round=2, verbose_eval=False)
    except (ValueError, TypeError) as error:
        raise UserError(str(error), where="train.params", fix="correct the parameter") from error
