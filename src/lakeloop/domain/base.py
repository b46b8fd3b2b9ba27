"""The base of every value: frozen, closed, and with one canonical JSON form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")

    def canonical_json(self) -> str:
        """The same text for equal values: sorted keys, no blanks, UTF-8."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Lower-case hex SHA-256 of `canonical_json`."""
        return sha256_hex(self.canonical_json())


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks, so that equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_hex(text: str) -> str:
    """Lower-case hex SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()
