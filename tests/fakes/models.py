"""Small trained models in folders, as a registry downloads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lakeloop.domain.features import EncodedFeature, FeatureEncoding
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE, IDENTITY_FILE, MODEL_FILES, model_digest
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost

SNAPSHOT = "3051729675574597004"
ROWS = [
    {"amount": 0.7, "age": 31, "kind": "b"},
    {"amount": 0.2, "age": None, "kind": "a"},
    {"amount": None, "age": 64, "kind": "never seen"},
]


def model_folder(folder: Path, *, seed: int = 0, expression: str = "", version: str = "1") -> Candidate:
    """A candidate whose booster was trained on random rows of `seed`; `expression` replaces column amount."""
    import xgboost

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    columns = [random.random(400), random.integers(18, 90, 400), random.integers(0, 3, 400)]
    label = (columns[0] > random.random()) ^ (columns[2] == seed % 3)
    encoding = encoding_of(expression)
    data = xgboost.DMatrix(
        np.column_stack(columns).astype(np.float32),
        label=label,
        feature_names=encoding.names,
        feature_types=encoding.xgboost_types,
        enable_categorical=True,
    )
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 5)
    booster.save_model(folder / BOOSTER_FILE)
    (folder / ENCODING_FILE).write_text(encoding.model_dump_json(), encoding="utf-8")
    return candidate(folder, version=version)


def two_versions(folder: Path) -> list[Candidate]:
    """Versions 1 and 2, of different boosters."""
    return [model_folder(folder / str(n), seed=n, version=str(n)) for n in (1, 2)]


def encoding_of(expression: str = "") -> FeatureEncoding:
    """Amount, age and kind; amount by an expression where one is given."""
    source = {"expression": expression} if expression else {"column": "amount"}
    return FeatureEncoding(
        features=(
            EncodedFeature(name="amount", type="numeric", **source),
            EncodedFeature(name="age", type="numeric", column="age"),
            EncodedFeature(name="kind", type="categorical", column="kind", categories=("a", "b", "c")),
        ),
        source_columns={"amount": "double", "age": "int", "kind": "string"},
    )


def candidate(folder: Path, *, version: str = "1", digest: str = "", xgboost_version: str = "") -> Candidate:
    """The folder's model as a registered version, its identity written beside it."""
    identity = Identity(
        model_name="fraud",
        version=version,
        model_digest=digest or model_digest({n: (folder / n).read_bytes() for n in MODEL_FILES}),
        run_key="0123456789abcdef0123",
        mlflow_run_id="run",
        table="bank.transactions",
        from_snapshot_id=None,
        to_snapshot_id=SNAPSHOT,
        feature_snapshot_id="4410985533172097713",
        feature_hash="0123456789abcdef",
        xgboost_version=xgboost_version,
    )
    (folder / IDENTITY_FILE).write_text(identity.model_dump_json(), encoding="utf-8")
    return Candidate(identity=identity, model_folder=str(folder))
