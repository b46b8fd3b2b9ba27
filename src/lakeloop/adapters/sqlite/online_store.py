"""The online store of one machine: a SQLite file in write-ahead mode, where readers and a writer never wait."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.online import EntityFeatures, OnlineVersion

BUSY_SECONDS = 10.0
ROWS_A_TRANSACTION = 10_000
KEPT_DEFINITIONS = 3
"""So many definitions have features, those that were published last."""
_IDS_A_QUERY = 500
_ATTEMPT = "@"
_TABLES = """
CREATE TABLE IF NOT EXISTS current (use_case TEXT PRIMARY KEY, version TEXT, previous TEXT, document TEXT);
CREATE TABLE IF NOT EXISTS of_definitions (
    use_case TEXT, feature_hash TEXT, version TEXT, document TEXT, number INTEGER,
    PRIMARY KEY (use_case, feature_hash)
);
CREATE TABLE IF NOT EXISTS entities (
    use_case TEXT, version TEXT, id TEXT, document TEXT, PRIMARY KEY (use_case, version, id)
) WITHOUT ROWID;
"""


class SqliteOnlineStore:
    """Implements `lakeloop.ports.online_store.OnlineStore`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._per_thread = threading.local()

    def publish(self, version: OnlineVersion, entities: Iterable[tuple[str, EntityFeatures]]) -> bool:
        """All rows under a name of this attempt, then one transaction that moves the pointers.

        Readers of the same version, which earlier definitions may still have, keep theirs until then.
        """
        with self._answering() as connection:
            before = _version(connection, version.use_case)
            if _is(version, before):
                return False
            attempt = f"{version.version}{_ATTEMPT}{os.urandom(6).hex()}"
            named = (version.use_case, attempt)
            for rows in _chunks(((*named, i, e.model_dump_json()) for i, e in entities)):
                with connection:
                    connection.executemany("INSERT INTO entities VALUES (?, ?, ?, ?)", rows)
            return self._point(connection, version, attempt, before)

    def _point(
        self, connection: sqlite3.Connection, version: OnlineVersion, attempt: str, before: str | None
    ) -> bool:
        """False where somebody else published the same version meanwhile."""
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            now = _version(connection, version.use_case)
            if now != before:
                if _is(version, now):
                    return False
                raise ConflictError(
                    "another version was published meanwhile", where=version.use_case, fix="publish again"
                )
            connection.execute(
                "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)",
                (version.use_case, attempt, before, version.model_dump_json()),
            )
            self._point_of_definitions(connection, version, attempt)
            connection.execute(
                "DELETE FROM entities WHERE use_case = ?1 AND version NOT IN (?2, ?3) AND version NOT IN "
                "(SELECT version FROM of_definitions WHERE use_case = ?1)",
                (version.use_case, attempt, before or ""),
            )
        return True

    def _point_of_definitions(
        self, connection: sqlite3.Connection, version: OnlineVersion, attempt: str
    ) -> None:
        (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM of_definitions").fetchone()
        connection.execute(
            "INSERT OR REPLACE INTO of_definitions VALUES (?, ?, ?, ?, ?)",
            (version.use_case, version.feature_hash, attempt, version.model_dump_json(), number),
        )
        connection.execute(
            "DELETE FROM of_definitions WHERE use_case = ?1 AND number NOT IN "
            "(SELECT number FROM of_definitions WHERE use_case = ?1 ORDER BY number DESC LIMIT ?2)",
            (version.use_case, KEPT_DEFINITIONS),
        )

    def current(self, use_case: str) -> OnlineVersion | None:
        """What is read now."""
        with self._answering() as connection:
            row = connection.execute(
                "SELECT document FROM current WHERE use_case = ?", (use_case,)
            ).fetchone()
        return None if row is None else OnlineVersion.model_validate_json(row[0])

    def get(
        self, use_case: str, ids: Sequence[str], feature_hash: str | None = None
    ) -> tuple[OnlineVersion, list[EntityFeatures | None]] | None:
        """In one read transaction: pointer and rows are of one moment."""
        with self._answering() as connection:
            connection.execute("BEGIN")
            try:
                row = _pointed(connection, use_case, feature_hash)
                if row is None:
                    return None
                version = OnlineVersion.model_validate_json(row[0])
                found = _found(connection, use_case, row[1], ids)
            finally:
                connection.rollback()
        return version, [EntityFeatures.model_validate_json(found[i]) if i in found else None for i in ids]

    def close(self) -> None:
        """Close this thread's connection."""
        connection = self._per_thread.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    @contextmanager
    def _answering(self) -> Iterator[sqlite3.Connection]:
        try:
            if not hasattr(self._per_thread, "connection"):
                self._per_thread.connection = self._open()
            yield self._per_thread.connection
        except sqlite3.Error as error:
            raise LakeloopError(
                f"the online store cannot be used: {error}",
                where=str(self._path),
                fix="see the file and its disk",
            ) from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)
        return connection


def _is(version: OnlineVersion, name: str | None) -> bool:
    return name is not None and name.partition(_ATTEMPT)[0] == version.version


def _version(connection: sqlite3.Connection, use_case: str) -> str | None:
    """The name of the rows that are read now: the version's, and of the attempt that wrote them."""
    row = connection.execute("SELECT version FROM current WHERE use_case = ?", (use_case,)).fetchone()
    return None if row is None else str(row[0])


def _pointed(
    connection: sqlite3.Connection, use_case: str, feature_hash: str | None
) -> tuple[str, str] | None:
    """Document and name of the rows."""
    if feature_hash is None:
        found = connection.execute("SELECT document, version FROM current WHERE use_case = ?", (use_case,))
    else:
        found = connection.execute(
            "SELECT document, version FROM of_definitions WHERE use_case = ? AND feature_hash = ?",
            (use_case, feature_hash),
        )
    row: tuple[str, str] | None = found.fetchone()
    return row


def _found(connection: sqlite3.Connection, use_case: str, name: str, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(ids), _IDS_A_QUERY):
        some = ids[start : start + _IDS_A_QUERY]
        marks = ", ".join("?" * len(some))
        rows = connection.execute(
            f"SELECT id, document FROM entities WHERE use_case = ? AND version = ? AND id IN ({marks})",  # noqa: S608
            (use_case, name, *some),
        )
        found.update(rows.fetchall())
    return found


def _chunks(rows: Iterable[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, ROWS_A_TRANSACTION)):
        yield chunk
