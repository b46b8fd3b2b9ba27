"""Features by entity, for callers who wait: versions that are published whole and read whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from lakeloop.domain.online import EntityFeatures, OnlineVersion


class OnlineStore(Protocol):
    """Versions that pointers name: one of a use case, and one of each of its definitions that still have readers.

    So a model that was trained on earlier definitions goes on finding its features when newer ones are published.
    The version before stays until its readers are done.
    """

    def publish(self, version: OnlineVersion, entities: Iterable[tuple[str, EntityFeatures]]) -> bool:
        """Write all entities under the version, then move both pointers; False where they point there already.

        A publisher that died half way left nothing that anybody reads; publishing again starts anew.

        Raises:
            ConflictError: another version was published meanwhile; nothing that is read has changed.
            LakeloopError: the store does not answer.
        """

    def current(self, use_case: str) -> OnlineVersion | None:
        """What is read now; None before the first publication."""

    def get(
        self, use_case: str, ids: Sequence[str], feature_hash: str | None = None
    ) -> tuple[OnlineVersion, list[EntityFeatures | None]] | None:
        """Features by id, in the ids' order, all of one version; None before the first publication.

        Args:
            use_case: whose.
            ids: of the entities.
            feature_hash: the newest version of these definitions; None: the newest.

        Raises:
            LakeloopError: the store does not answer.
        """

    def close(self) -> None:
        """Give connections back."""
