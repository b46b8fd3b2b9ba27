"""The content address of a model: what is trained, registered, proved and served is the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

BOOSTER_FILE = "booster.ubj"
ENCODING_FILE = "encoding.json"
IDENTITY_FILE = "identity.json"
MODEL_FILES = (BOOSTER_FILE, ENCODING_FILE)
IDENTITY_VARIABLE = "LAKELOOP_MODEL_IDENTITY"
"""Environment of a predictor that fetches its model: JSON of its `Identity`."""


def model_digest(files: Mapping[str, bytes]) -> str:
    """Lower-case hex SHA-256 over the sorted files: each as name, NUL, length (8 bytes, big endian), bytes.

    Args:
        files: content by name; only `MODEL_FILES` count.

    Raises:
        KeyError: one of `MODEL_FILES` is missing.
    """
    digest = hashlib.sha256()
    for name in sorted(MODEL_FILES):
        content = files[name]
        digest.update(name.encode() + b"\0" + len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()
