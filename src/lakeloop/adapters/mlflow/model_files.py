"""The MLflow form of a model: loadable by mlflow.xgboost and pyfunc, with lakeloop's own folder inside."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.domain.encoding import encode
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.model_files import BOOSTER_FILE

if TYPE_CHECKING:
    import pyarrow as pa

OWN_FOLDER = "lakeloop"
_PACKAGES = ("xgboost-cpu", "xgboost", "numpy", "scipy", "pandas")


def write_mlflow_model(  # noqa: PLR0913, PLR0917
    target: Path,
    model_folder: Path,
    encoding: FeatureEncoding,
    example: pa.Table,
    run_id: str,
    model_id: str | None,
) -> None:
    """Write an MLflow model folder to `target`.

    Its signature is the booster's own matrix, doubles (a category is its code, see lakeloop/encoding.json).
    Requirements are given, or MLflow would start a process to infer them.
    """
    import mlflow.xgboost
    import pandas as pd
    import xgboost as xgb
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema([ColSpec("double", name, required=False) for name in encoding.names])
    mlflow.xgboost.save_model(
        xgb.Booster(model_file=str(model_folder / BOOSTER_FILE)),
        str(target),
        mlflow_model=Model(run_id=run_id, **({} if model_id is None else {"model_id": model_id})),
        signature=ModelSignature(inputs, Schema([ColSpec("double", "score")])),
        input_example=pd.DataFrame(encode(example, encoding).astype("float64"), columns=encoding.names),
        pip_requirements=_requirements(),
    )
    shutil.copytree(model_folder, target / OWN_FOLDER)


def _requirements() -> list[str]:
    found = {name: _version(name) for name in _PACKAGES}
    return [f"{name}=={number}" for name, number in found.items() if number]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
