"""The online store of a cluster: Redis or Valkey. A hash a version, and one key that says which is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.online import EntityFeatures, OnlineVersion

ANSWER_SECONDS = 5.0
ENTITIES_A_WRITE = 2_000
OLD_VERSION_SECONDS = 3600
"""How long a version can be read after another took its place: longer than any reader's look-up."""
OTHER_DEFINITIONS_SECONDS = 30 * 24 * 3600
"""How long features can be read after other definitions took their place: a model trained on them may still serve."""
READ_ATTEMPTS = 5


class RedisOnlineStore:
    """Implements `lakeloop.ports.online_store.OnlineStore`."""

    def __init__(self, url: str) -> None:
        """By URL, `redis://host:port/db`; its password may stand in it, which comes from the environment only."""
        import redis

        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, decode_responses=True
        )

    def publish(self, version: OnlineVersion, entities: Iterable[tuple[str, EntityFeatures]]) -> bool:
        """The version's hash, then the pointer, by compare-and-set."""
        pointer, key = _pointer(version.use_case), _key(version)
        with self._answering():
            before = self._redis.get(pointer)
            if before is not None and OnlineVersion.model_validate_json(before) == version:
                return False
            self._redis.delete(key)
            rows = iter(entities)
            while chunk := dict(islice(rows, ENTITIES_A_WRITE)):
                self._redis.hset(key, mapping={i: e.model_dump_json() for i, e in chunk.items()})
            self._point(version, pointer, before)
            return True

    def _point(self, version: OnlineVersion, pointer: str, before: str | None) -> None:
        import redis

        with self._redis.pipeline() as change:
            change.watch(pointer)
            if change.get(pointer) != before:
                raise _conflict(version)
            mine = _of_definitions(version.use_case, version.feature_hash)
            left = change.get(mine)
            change.multi()
            change.set(pointer, version.model_dump_json())
            change.set(mine, version.model_dump_json())
            self._leave(change, version, [document for document in (before, left) if document])
            change.persist(_key(version))
            try:
                change.execute()
            except redis.WatchError as error:
                raise _conflict(version) from error

    def _leave(self, change: Any, version: OnlineVersion, documents: Sequence[str]) -> None:
        """What is read no longer goes after its readers, what other definitions have later."""
        for other in map(OnlineVersion.model_validate_json, documents):
            if other.feature_hash == version.feature_hash:
                change.expire(_key(other), OLD_VERSION_SECONDS)
            else:
                change.expire(_key(other), OTHER_DEFINITIONS_SECONDS)
                change.expire(_of_definitions(other.use_case, other.feature_hash), OTHER_DEFINITIONS_SECONDS)

    def current(self, use_case: str) -> OnlineVersion | None:
        """What is read now."""
        return self._pointed(_pointer(use_case))

    def _pointed(self, pointer: str) -> OnlineVersion | None:
        with self._answering():
            document = self._redis.get(pointer)
        return None if document is None else OnlineVersion.model_validate_json(document)

    def get(
        self, use_case: str, ids: Sequence[str], feature_hash: str | None = None
    ) -> tuple[OnlineVersion, list[EntityFeatures | None]] | None:
        """From the version that the pointer names; once more where that version went away meanwhile."""
        pointer = _pointer(use_case) if feature_hash is None else _of_definitions(use_case, feature_hash)
        for _ in range(READ_ATTEMPTS):
            version = self._pointed(pointer)
            if version is None:
                return None
            with self._answering():
                found = self._redis.hmget(_key(version), list(ids)) if ids else []
            if any(found) or self._pointed(pointer) == version:
                return version, [None if f is None else EntityFeatures.model_validate_json(f) for f in found]
        raise LakeloopError("versions keep changing while they are read", where=use_case, fix="try again")

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import redis

        try:
            yield
        except redis.RedisError as error:
            raise LakeloopError(
                f"the online store does not answer: {type(error).__name__}",
                where="LAKELOOP_ONLINE_STORE_URI",
                fix="see whether Redis runs and can be reached",
            ) from error


def _conflict(version: OnlineVersion) -> ConflictError:
    return ConflictError(
        "another version was published meanwhile", where=version.use_case, fix="publish again"
    )


def _pointer(use_case: str) -> str:
    return f"lakeloop:{{{use_case}}}:current"


def _of_definitions(use_case: str, feature_hash: str) -> str:
    return f"lakeloop:{{{use_case}}}:of:{feature_hash}"


def _key(version: OnlineVersion) -> str:
    """The braces keep all keys of a use case in one slot of a Redis cluster."""
    return f"lakeloop:{{{version.use_case}}}:{version.version}"
