"""The proof before traffic: real rows, scored offline from Spark's features and served from raw columns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakeloop.domain.base import Frozen
from lakeloop.domain.encoding import encode
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.features import FeatureEncoding

if TYPE_CHECKING:
    import xgboost

Row = dict[str, Any]


class Proof(Frozen):
    """Offline and served scores of the same rows."""

    rows: int
    max_difference: float
    worst_row: int
    offline: float
    served: float


class ProofRows(Frozen):
    """The rows of a proof, in one order: as the server gets them, and as offline scoring scored them."""

    raw: tuple[Row, ...]
    offline: tuple[float, ...]


def newest_rows(batches: Iterable[pa.RecordBatch], order: Sequence[str], count: int) -> pa.Table:
    """The last `count` rows by the columns of `order`, holding at most one batch more than that in memory."""
    kept: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        merged = table if kept is None else pa.concat_tables([kept, table])
        kept = merged.sort_by([(name, "descending") for name in order]).slice(0, count)
    if kept is None or not kept.num_rows:
        raise LakeloopError("the newest range has no rows to prove a model with", fix="see the feature table")
    return kept.combine_chunks()


def load_booster(content: bytes) -> xgboost.Booster:
    """The booster of a model folder's bytes.

    Raises:
        LakeloopError: XGBoost cannot read them.
    """
    import xgboost

    try:
        return xgboost.Booster(model_file=bytearray(content))
    except xgboost.core.XGBoostError as error:
        raise LakeloopError(f"XGBoost cannot load the booster: {str(error).splitlines()[0]}") from error


def offline_scores(booster: xgboost.Booster, encoding: FeatureEncoding, features: pa.Table) -> list[float]:
    """Scores [rows] of feature-table rows, without any server."""
    scores = booster.inplace_predict(encode(features.select(encoding.names), encoding))
    return [float(score) for score in scores]


def listed_values(rows: pa.Table, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Per column its distinct non-null values: the row filter that finds these rows in their source table."""
    distinct = {name: rows.column(name).unique().drop_null().to_pylist() for name in columns}
    return {name: values for name, values in distinct.items() if values}


def proof_rows(
    features: pa.Table,
    scores: Sequence[float],
    raw: Iterable[pa.RecordBatch],
    key: Sequence[str],
    encoding: FeatureEncoding,
) -> ProofRows:
    """Each feature row's raw row, found by key; rows whose key has several different raw rows are left out.

    What a row knows of its entity's past is in no raw row: callers send it, so the proof takes it from the feature row.

    Args:
        features: rows of the feature table, with the key columns.
        scores: offline scores of these rows.
        raw: candidates from the source table, with key and raw columns.
        key: what identifies a row.
        encoding: names what the server wants.

    Raises:
        LakeloopError: a row of the feature table is not in the source table, or no row is unambiguous.
    """
    by_key: dict[str, set[str]] = {}
    for row in (row for batch in raw for row in batch.to_pylist()):
        sent = json.dumps({c: json_value(row[c]) for c in encoding.raw_columns})
        by_key.setdefault(_key_of(row, key), set()).add(sent)
    pairs: list[tuple[Row, float]] = []
    for row, score in zip(features.select([*key, *encoding.past_columns]).to_pylist(), scores, strict=True):
        found = by_key.get(_key_of(row, key), set())
        if not found:
            raise LakeloopError(
                f"the row with key {_key_of(row, key)} is in the feature table but not in its source table",
                fix="the tables do not belong together: build the training set again",
            )
        if len(found) == 1:
            past = {c: json_value(row[c]) for c in encoding.past_columns}
            pairs.append((json.loads(next(iter(found))) | past, score))
    if not pairs:
        raise LakeloopError(
            f"no row is identified by {', '.join(key)}: the proof needs rows whose key is theirs alone",
            where="table.key",
            fix="declare a key that identifies a row, and expect it to be unique",
        )
    return ProofRows(raw=tuple(row for row, _ in pairs), offline=tuple(score for _, score in pairs))


def json_value(value: Any) -> Any:
    """A value as JSON carries it: times in ISO 8601 (UTC), decimals as numbers, NaN and infinities as null.

    Raises:
        LakeloopError: JSON has no form for it.
    """
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    raise LakeloopError(f"a value of type {type(value).__name__} cannot be sent as JSON")


def compare(offline: Sequence[float], served: Sequence[float], tolerance: float) -> Proof:
    """Row by row; fails closed.

    Raises:
        LakeloopError: scores are missing, not finite, or differ by more than `tolerance`.
    """
    if len(offline) != len(served) or not offline:
        raise LakeloopError(f"{len(offline)} rows were sent, {len(served)} scores came back")
    differences = np.abs(np.asarray(offline, dtype=np.float64) - np.asarray(served, dtype=np.float64))
    if not np.isfinite(differences).all():
        raise LakeloopError("a score is not a finite number")
    worst = int(differences.argmax())
    proof = Proof(
        rows=len(offline),
        max_difference=float(differences[worst]),
        worst_row=worst,
        offline=offline[worst],
        served=served[worst],
    )
    if proof.max_difference > tolerance:
        raise LakeloopError(
            f"served and offline scores differ by {proof.max_difference:.3g} (row {worst}: served "
            f"{proof.served:.9g}, offline {proof.offline:.9g}; {int((differences > tolerance).sum())} of "
            f"{proof.rows} rows beyond {tolerance:g})",
            where="prove",
            fix="the features mean something else where they are served: compare their expressions",
        )
    return proof


def _key_of(row: Mapping[str, Any], key: Sequence[str]) -> str:
    return json.dumps([json_value(row[name]) for name in key])
