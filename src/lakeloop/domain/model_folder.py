"""What a model is on disk: a folder with the booster and its encoding, named by its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

BOOSTER_FILE = "booster.ubj"
ENCODING_FILE = "encoding.json"
MODEL_FILES = (BOOSTER_FILE, ENCODING_FILE)


def model_digest(files: Mapping[str, bytes]) -> str:
    """Content address of a model, lower-case hex: SHA-256 over its files in the order of their names.

    Each file adds its name in UTF-8, a zero byte, its length as eight big-endian bytes, and its bytes.

    Args:
        files: name -> bytes; only `MODEL_FILES` count.
    """
    digest = hashlib.sha256()
    for name in sorted(MODEL_FILES):
        data = files[name]
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
