"""The online store of a cluster: Redis or Valkey. A hash a version, and one key that says which is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.online import EntityFeatures, OnlineVersion

ANSWER_SECONDS = 5.0
ENTITIES_A_WRITE = 2_000
ATTEMPT_SECONDS = 3600
"""How long what a publisher has written stays without its next write: what one that died has left goes away."""
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
        """A hash of this attempt, then by compare-and-set the version's place and the pointers.

        Readers of the same version, which earlier definitions may still have, keep theirs until then.
        """
        pointer, attempt = _pointer(version.use_case), f"{_key(version)}:{os.urandom(6).hex()}"
        with self._answering():
            before = self._redis.get(pointer)
            if _is(version, before):
                return False
            rows = iter(entities)
            while chunk := dict(islice(rows, ENTITIES_A_WRITE)):
                with self._redis.pipeline() as write:
                    write.hset(attempt, mapping={i: e.model_dump_json() for i, e in chunk.items()})
                    write.expire(attempt, ATTEMPT_SECONDS)
                    write.execute()
            return self._point(version, pointer, attempt, before)

    def _point(self, version: OnlineVersion, pointer: str, attempt: str, before: str | None) -> bool:
        """False where somebody else published the same version meanwhile."""
        import redis

        with self._redis.pipeline() as change:
            change.watch(pointer)
            now = change.get(pointer)
            if now != before:
                if _is(version, now):
                    return False
                raise _conflict(version)
            written = change.exists(attempt)
            mine = _of_definitions(version.use_case, version.feature_hash)
            left = change.get(mine)
            change.multi()
            change.set(pointer, version.model_dump_json())
            change.set(mine, version.model_dump_json())
            self._leave(change, version, [document for document in (before, left) if document])
            if written:
                change.rename(attempt, _key(version))
            change.persist(_key(version))
            try:
                change.execute()
            except redis.WatchError as error:
                raise _conflict(version) from error
        return True

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


def _is(version: OnlineVersion, document: str | None) -> bool:
    return document is not None and OnlineVersion.model_validate_json(document) == version


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
