"""A model as its folder holds it: what it was trained to, and how its features are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE


@dataclass(frozen=True)
class Model:
    """A model folder's content."""

    booster: bytes
    encoding: FeatureEncoding


def read_model(folder: Path) -> Model:
    """The model of a folder (booster.ubj, encoding.json)."""
    encoding = FeatureEncoding.model_validate_json((folder / ENCODING_FILE).read_bytes())
    return Model((folder / BOOSTER_FILE).read_bytes(), encoding)
