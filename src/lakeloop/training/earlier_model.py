"""The champion on the challenger's rows: features as it knows them, else computed anew from raw columns.

A feature that was redefined has the same name and another meaning: scoring the champion on it would compare
against a model that never existed. So each of its features must be defined as it was, or it is computed anew
from the source table's rows by the champion's own expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.encoding import Matrix, encode
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_rows import FeatureRows, Indices
from lakeloop.domain.features import EncodedFeature, FeatureEncoding

_PLACE = "_place"


def same_definitions(champion: FeatureEncoding, challenger: FeatureEncoding) -> bool:
    """Whether the challenger's feature columns are what the champion was trained on."""
    known = {feature.name: _definition(feature) for feature in challenger.features}
    return all(known.get(feature.name) == _definition(feature) for feature in champion.features)


def _definition(feature: EncodedFeature) -> EncodedFeature:
    return feature.model_copy(update={"categories": ()})


def missing_columns(champion: FeatureEncoding, columns: Iterable[str]) -> list[str]:
    """Raw columns that the champion needs and the source table does not have any more."""
    present = set(columns)
    return [name for name in champion.raw_columns if name not in present]


def with_past(
    raw: pa.Table, features: pa.Table, champion: FeatureEncoding, challenger: FeatureEncoding
) -> pa.Table:
    """Raw rows with what the champion has to know of their entities' past: as the challenger's features have it.

    Args:
        raw: source rows of the holdout.
        features: the challenger's features of the same rows, in the same order.
        champion: whose columns are asked for.
        challenger: says how the features were made.

    Raises:
        UserError: the champion looks at the past otherwise than any feature of the challenger.
    """
    known = {feature.name: _definition(feature) for feature in challenger.features}
    for feature in (f for f in champion.features if f.as_of is not None):
        if known.get(feature.name) != _definition(feature):
            raise UserError(
                f"feature {feature.name!r} looks at earlier rows as no feature of the challenger does",
                where="features",
                fix="keep it as it was, or train once without a champion to compare with",
            )
        raw = raw.append_column(feature.name, features.column(feature.name))
    return raw


def raw_rows(
    rows: FeatureRows, holdout: Indices, order: Sequence[str], source: Iterable[pa.RecordBatch]
) -> pa.Table:
    """The source rows of the holdout, in its order.

    Args:
        rows: feature rows.
        holdout: which of them.
        order: event time and key.
        source: source rows, more than these perhaps.

    Raises:
        UserError: a holdout row is not in the source exactly once.
    """
    table = pa.Table.from_batches(source)
    wanted = rows.order_columns.take(pa.array(holdout))
    columns = [c for c in dict.fromkeys(order) if not wanted.column(c).null_count]  # null equals nothing
    for name in columns:
        wanted = wanted.set_column(
            wanted.schema.get_field_index(name),
            name,
            pc.cast(wanted.column(name), table.schema.field(name).type),
        )
    wanted = wanted.append_column(_PLACE, pa.array(np.arange(len(holdout))))
    numbered = table.select(columns).append_column("_row", pa.array(np.arange(table.num_rows)))
    joined = wanted.join(numbered, keys=columns, join_type="inner").sort_by(_PLACE)
    places = joined.column(_PLACE).to_numpy()
    if not np.array_equal(places, np.arange(len(holdout))):
        raise UserError(
            "holdout rows are not in the source table exactly once, by event time and key",
            where="table.key",
            fix="choose a key that identifies a row",
        )
    return table.take(joined.column("_row"))


def raw_encoder(
    features: Callable[[pa.Table, FeatureEncoding], pa.Table], raw: pa.Table, encoding: FeatureEncoding
) -> Callable[[Indices], Matrix]:
    """Matrices of raw rows by their position; `features` evaluates the encoding's expressions."""
    matrix = encode(features(raw, encoding), encoding)
    return lambda positions: matrix[positions]
