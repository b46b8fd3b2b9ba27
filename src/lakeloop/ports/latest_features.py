"""Each entity's latest row of a feature table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakeloop.domain.online import EntityFeatures

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LatestBy:
    """What "latest" and "entity" mean: columns of the feature rows, or of the source rows where they lack them."""

    entity: tuple[str, ...]
    key: tuple[str, ...]
    event_time: str
    features: tuple[str, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """Event time, then the other columns of the key, each once: the latest row is the last one by them."""
        return tuple(dict.fromkeys([self.event_time, *self.key]))


class LatestFeatures(Protocol):
    """In process; what does not fit into memory goes to disk."""

    def of(
        self,
        features: Iterator[pa.RecordBatch],
        source: Iterator[pa.RecordBatch] | None,
        by: LatestBy,
    ) -> Iterator[tuple[str, EntityFeatures]]:
        """Entities with the features of their latest row (by event time, then key), each once.

        Args:
            features: rows with key, event time and features.
            source: rows with key, event time and entity columns, where the feature rows have no entity columns.
            by: what is looked for.
        """
