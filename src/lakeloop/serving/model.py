"""A model folder, checked and loaded: what the predictor answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lakeloop.domain.encoding import encode
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE, IDENTITY_FILE, MODEL_FILES, model_digest
from lakeloop.domain.rollout import Identity
from lakeloop.serving.column_types import known_type
from lakeloop.serving.dense_predict import Predict, checked
from lakeloop.serving.expressions import raw_to_features
from lakeloop.serving.feature_function import FeatureFunction

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import xgboost


@dataclass(frozen=True)
class ServedModel(FeatureFunction):
    """A booster with its encoding and identity."""

    booster: xgboost.Booster

    def predict(self, matrix: np.ndarray[Any, Any]) -> list[float]:
        """Scores [rows] of a matrix."""
        scores: list[float] = self._predict(matrix).tolist()
        return scores

    @cached_property
    def _predict(self) -> Predict:
        return checked(self.booster, len(self.encoding.features))

    def scores(self, rows: Sequence[Any]) -> list[float]:
        """Scores [rows] of rows as JSON gives them, in their order."""
        return self.predict(self.matrix(rows))

    def scores_of_table(self, raw: pa.Table) -> list[float]:
        """Scores [rows] of raw columns as the source table has them.

        Raises:
            UserError: a column is missing, or an expression cannot be evaluated.
        """
        return self.predict(encode(raw_to_features(raw, self.encoding), self.encoding))

    def warm_up(self) -> None:
        """Answer one row of nulls both ways: what cannot work fails before the port opens.

        Raises:
            UserError: an expression cannot be evaluated over the source columns.
        """
        for matrix in self.matrices_of_nothing():
            self.predict(matrix)


def load(folder: Path) -> ServedModel:
    """The model of a folder.

    Raises:
        LakeloopError: a file is missing or unreadable, the bytes do not have identity.json's digest, or the
            booster's features are not the encoding's, in its order.
    """
    files = _read(folder, (*MODEL_FILES, IDENTITY_FILE))
    try:
        identity = Identity.model_validate_json(files[IDENTITY_FILE])
        encoding = FeatureEncoding.model_validate_json(files[ENCODING_FILE])
    except ValidationError as error:
        raise LakeloopError(f"cannot be read: {error}", where=str(folder)) from error
    _check_digest(folder, files, identity)
    booster = _booster(folder, files[BOOSTER_FILE])
    _check_features(folder, booster, encoding)
    return ServedModel(encoding, identity, booster)


def _read(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise LakeloopError(
            f"the model folder is incomplete: {error}", where=str(folder), fix="deploy it again"
        ) from error


def _check_digest(folder: Path, files: Mapping[str, bytes], identity: Identity) -> None:
    digest = model_digest(files)
    if digest != identity.model_digest:
        raise LakeloopError(
            f"the model's bytes have digest {digest}, its identity says {identity.model_digest}",
            where=str(folder),
            fix="the files were changed after registration: deploy the registered version again",
        )


def _booster(folder: Path, content: bytes) -> xgboost.Booster:
    import xgboost

    try:
        booster = xgboost.Booster(model_file=bytearray(content))
        booster.set_param({"nthread": 1})
    except xgboost.core.XGBoostError as error:
        reason = str(error).strip().splitlines()[0]
        raise LakeloopError(f"XGBoost cannot load the booster: {reason}", where=str(folder)) from error
    return booster


def _check_features(folder: Path, booster: xgboost.Booster, encoding: FeatureEncoding) -> None:
    if booster.feature_names != encoding.names:
        raise LakeloopError(
            f"the booster's features {booster.feature_names} are not the encoding's {encoding.names}",
            where=str(folder),
            fix="train the model again",
        )
    unknown = {c: t for c, t in encoding.source_columns.items() if not known_type(t)}
    if unknown:
        raise LakeloopError(f"columns of types that JSON cannot carry: {unknown}", where=str(folder))


def xgboost_version() -> str:
    """The version of the XGBoost that answers."""
    import xgboost

    return str(xgboost.__version__)
