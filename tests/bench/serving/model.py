"""One booster and its rows, in the form that each server wants: ours raw, the peers' ready features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lakeloop.domain.encoding import encode
from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE, IDENTITY_FILE, MODEL_FILES, model_digest
from lakeloop.domain.rollout import Identity
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.serving.column_types import to_arrow
from lakeloop.serving.expressions import raw_to_features
from lakeloop.use_case_files import load_use_case

USE_CASE = "card_fraud"
TRAINING_ROWS = 20_000
ROUNDS = 300
PARAMETERS = {"objective": "binary:logistic", "max_depth": 3, "learning_rate": 0.08, "nthread": 2, "seed": 7}


@dataclass(frozen=True)
class BenchModel:
    """`raw` rows as callers have them, `matrix` [rows, features] as the booster sees them, `scores` [rows]."""

    folder: Path
    encoding: FeatureEncoding
    raw: list[dict[str, Any]]
    matrix: np.ndarray[Any, Any]
    scores: list[float]


def make(folder: Path, rows: int) -> BenchModel:
    """Train on random rows of the use case's columns and features; keep `rows` of them for requests."""
    import xgboost

    encoding = _encoding()
    random = np.random.default_rng(7)
    columns = {name: np.round(random.lognormal(8, 1, TRAINING_ROWS), 2) for name in encoding.source_columns}
    columns["age"] = random.integers(18, 95, TRAINING_ROWS)
    listed = zip(*(c.tolist() for c in columns.values()), strict=True)
    raw = [dict(zip(columns, values, strict=True)) for values in listed]
    matrix = encode(raw_to_features(to_arrow(raw, encoding.source_columns), encoding), encoding)
    label = (np.log(matrix[:, -2] + 1e-9) + random.normal(0, 1, TRAINING_ROWS)) > 1
    data = xgboost.DMatrix(matrix, label, feature_names=encoding.names, feature_types=encoding.xgboost_types)
    booster = xgboost.train(PARAMETERS, data, ROUNDS)
    folder.mkdir(parents=True)
    booster.save_model(folder / BOOSTER_FILE)
    (folder / ENCODING_FILE).write_text(encoding.model_dump_json(), encoding="utf-8")
    digest = model_digest({name: (folder / name).read_bytes() for name in MODEL_FILES})
    (folder / IDENTITY_FILE).write_text(_identity(digest).model_dump_json(), encoding="utf-8")
    np.save(folder / "matrix.npy", matrix[:rows])
    (folder / "names.json").write_text(json.dumps(encoding.names), encoding="utf-8")
    scores = booster.inplace_predict(matrix[:rows])
    return BenchModel(folder, encoding, raw[:rows], matrix[:rows], [float(s) for s in scores])


def _encoding() -> FeatureEncoding:
    use_case = load_use_case(USE_CASE)
    wanted = [f.column for f in use_case.features if f.column]
    features = tuple(
        EncodedFeature(name=f.name, type="numeric", column=f.column, expression=f.expression)
        for f in use_case.features
    )
    return FeatureEncoding(features=features, source_columns={c: use_case.table.columns[c] for c in wanted})


def _identity(digest: str) -> Identity:
    return Identity(
        model_name=USE_CASE,
        version="1",
        model_digest=digest,
        run_key="0123456789abcdef0123",
        mlflow_run_id="bench",
        table="bank.card_transactions",
        from_snapshot_id=None,
        to_snapshot_id="3051729675574597004",
        feature_snapshot_id="4410985533172097713",
        feature_hash="0123456789abcdef",
    )
