"""Features that are looked up by entity, as of one snapshot."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.errors import UserError

MAX_ENTITY_ID_LENGTH = 256
ENTITY_ID_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]{1,256}$"
"""No control characters, and none that turn a text's direction: what is shown is what was sent."""


class OnlineVersion(Frozen):
    """One complete set of entities' features. Whoever publishes it again changes nothing."""

    use_case: str
    feature_hash: str = Field(description="Of the definitions; a model refuses features with another one.")
    feature_table: str
    feature_snapshot_id: str
    source_snapshot_id: str = Field(description="The newest source snapshot behind the features.")
    computed_at: str = Field(description="When the feature snapshot was committed, ISO 8601, UTC.")
    entity: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def version(self) -> str:
        """Its identity: the same snapshot and definitions, the same version."""
        return f"{self.feature_snapshot_id}-{self.feature_hash}"


class EntityFeatures(Frozen):
    """The features of one entity's latest row."""

    event_time: str | None
    features: dict[str, float | str | None]


def entity_id(values: Sequence[Any]) -> str | None:
    """How callers name an entity: the value as text; several columns as a JSON list. None where one is unknown."""
    if any(value is None for value in values):
        return None
    if len(values) == 1:
        return str(values[0])
    return json.dumps([str(value) for value in values], separators=(",", ":"), ensure_ascii=False)


def same_entity_id(text: str) -> str:
    """The id as `entity_id` writes it, of a caller's JSON list however that was written; anything else as it is."""
    try:
        values = json.loads(text)
    except ValueError:
        return text
    if not isinstance(values, list) or len(values) < 2:  # noqa: PLR2004 - of one column the id is the text itself
        return text
    return entity_id(values) or text


def check_entity_id(text: Any) -> str:
    """An id as a caller sent it.

    Raises:
        UserError: it is no text of 1 to `MAX_ENTITY_ID_LENGTH` printable characters.
    """
    if not isinstance(text, str) or re.fullmatch(ENTITY_ID_PATTERN, text) is None:
        raise UserError(
            f"an id is a text of 1 to {MAX_ENTITY_ID_LENGTH} printable characters",
            where="id",
            fix="send the entity's value as text",
        )
    return text
