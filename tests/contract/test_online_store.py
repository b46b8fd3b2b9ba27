"""One suite for every OnlineStore; Redis where a redis-server is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeloop import bootstrap
from lakeloop.adapters.local.process import wait_until
from lakeloop.domain.errors import ConflictError, LakeloopError, UserError
from lakeloop.domain.online import EntityFeatures, OnlineVersion
from lakeloop.ports.online_store import OnlineStore
from lakeloop.settings import Settings


@pytest.fixture(scope="module")
def redis_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        pytest.skip("no redis-server: apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen([server, *options], stdout=subprocess.DEVNULL) as process:
        try:
            assert wait_until(lambda: _listens(port), 20)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["sqlite", "redis"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "online.db")
    uri: str = request.getfixturevalue("redis_uri")
    import redis

    redis.Redis.from_url(uri).flushall()
    return uri


@pytest.fixture
def store(uri: str) -> Iterator[OnlineStore]:
    opened = open_store(uri)
    yield opened
    opened.close()


def open_store(uri: str) -> OnlineStore:
    return bootstrap.online_store(Settings(online_store_uri=uri))


def version(number: int, use_case: str = "loans", hash_: str = "h") -> OnlineVersion:
    return OnlineVersion(
        use_case=use_case,
        feature_hash=hash_,
        feature_table="bank.loans__loans_features",
        feature_snapshot_id=str(number),
        source_snapshot_id="3051729675574597004",
        computed_at="2026-01-01T00:00:00.000+00:00",
        entity=("id",),
        features=("n", "kind"),
    )


def entities(number: int, count: int = 3) -> list[tuple[str, EntityFeatures]]:
    at = "2025-01-01T00:00:00"
    return [
        (str(i), EntityFeatures(event_time=at, features={"n": float(number), "kind": None if i else "ñ"}))
        for i in range(count)
    ]


def test_features_come_back_in_the_order_of_the_ids_with_their_version(store: OnlineStore) -> None:
    assert (store.current("loans"), store.get("loans", ["0"])) == (None, None)
    assert store.publish(version(1), entities(1))
    assert store.publish(version(7, "other"), entities(7))
    answered = store.get("loans", ["2", "nobody", "0", "1 or 1=1", "*"])
    assert answered is not None
    told, found = answered
    assert told == version(1) == store.current("loans")
    assert [f and f.features for f in found] == [
        {"n": 1.0, "kind": None},
        None,
        {"n": 1.0, "kind": "ñ"},
        None,
        None,
    ]


def test_the_same_version_again_changes_nothing_and_a_newer_one_replaces_it(store: OnlineStore) -> None:
    store.publish(version(1), entities(1))
    assert not store.publish(version(1), entities(99))
    assert store.publish(version(2), entities(2, count=1))
    answered = store.get("loans", ["0", "1"])
    assert answered is not None
    assert [f and f.features["n"] for f in answered[1]] == [2.0, None]
    assert store.publish(version(3), entities(3))


def test_a_publisher_that_dies_half_way_is_not_noticed_and_can_publish_again(store: OnlineStore) -> None:
    store.publish(version(1), entities(1))

    def dying() -> Iterator[tuple[str, EntityFeatures]]:
        yield ("left over", entities(2)[0][1])
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.publish(version(2), dying())
    answered = store.get("loans", ["0", "left over"])
    assert answered is not None
    assert (answered[0], answered[1][1]) == (version(1), None)
    assert store.publish(version(2), entities(2))
    answered = store.get("loans", ["0", "left over"])
    assert answered is not None
    assert [f and f.features["n"] for f in answered[1]] == [2.0, None]


def test_of_two_publishers_at_once_the_slower_one_is_told(store: OnlineStore, uri: str) -> None:
    store.publish(version(1), entities(1))

    def meanwhile() -> Iterator[tuple[str, EntityFeatures]]:
        yield from entities(2)
        other = open_store(uri)
        other.publish(version(3), entities(3))
        other.close()

    with pytest.raises(ConflictError):
        store.publish(version(2), meanwhile())
    assert store.current("loans") == version(3)


def test_of_two_publishers_of_one_version_the_first_is_enough(store: OnlineStore, uri: str) -> None:
    """Neither takes the other's rows away, however far each has come."""

    def meanwhile() -> Iterator[tuple[str, EntityFeatures]]:
        yield entities(2)[0]
        other = open_store(uri)
        assert other.publish(version(2), entities(2))
        other.close()
        yield from entities(2)[1:]

    store.publish(version(1), entities(1))
    assert not store.publish(version(2), meanwhile())
    answered = store.get("loans", ["0", "1", "2"])
    assert answered is not None
    assert [f and f.features["n"] for f in answered[1]] == [2.0, 2.0, 2.0]


def test_going_back_to_earlier_definitions_hides_nothing_from_their_model(
    store: OnlineStore, uri: str
) -> None:
    """The same version is written anew while a model reads it; also where the publisher dies half way."""
    first, second = version(1, hash_="a"), version(1, hash_="b")
    store.publish(first, entities(1))
    store.publish(second, entities(2))
    reader = open_store(uri)

    def read() -> list[float | str | None]:
        answered = reader.get("loans", ["0", "1", "2"], "a")
        assert answered is not None
        return [f and f.features["n"] for f in answered[1]]

    def watched() -> Iterator[tuple[str, EntityFeatures]]:
        for entity in entities(1):
            yield entity
            assert read() == [1.0, 1.0, 1.0]

    def dying() -> Iterator[tuple[str, EntityFeatures]]:
        yield from entities(1, 1)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        store.publish(first, dying())
    assert read() == [1.0, 1.0, 1.0]
    assert store.publish(first, watched())
    assert (read(), store.current("loans")) == ([1.0, 1.0, 1.0], first)
    reader.close()


def test_a_version_without_entities_is_one(store: OnlineStore) -> None:
    assert store.publish(version(1), [])
    answered = store.get("loans", ["0"])
    assert answered == (version(1), [None])


def test_readers_never_see_half_of_a_version(store: OnlineStore, uri: str) -> None:
    store.publish(version(0), entities(0, 200))
    ended, problems, looks = threading.Event(), [], []

    def read() -> None:
        reader = open_store(uri)
        ids = [str(i) for i in range(200)]
        while not ended.is_set():
            answered = reader.get("loans", ids)
            assert answered is not None
            told, found = answered
            seen = {f.features["n"] if f else None for f in found}
            looks.append(told.version)
            if seen != {float(told.feature_snapshot_id)}:
                problems.append((told.version, seen))
        reader.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 15):
        store.publish(version(number), entities(number, 200))
    ended.set()
    for reader in readers:
        reader.join(20)
    assert problems == []
    assert len(set(looks)) > 2


def test_a_store_that_is_away_or_unknown_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakeloopError, match="does not answer"):
        open_store("redis://127.0.0.1:1/0").current("loans")
    with pytest.raises(UserError, match="no online store of kind 'mongodb'"):
        open_store("mongodb://x")
    (tmp_path / "broken").write_bytes(b"no database" * 1000)
    with pytest.raises(LakeloopError, match="cannot be used"):
        open_store(str(tmp_path / "broken")).current("loans")


def test_each_definition_keeps_its_newest_features(store: OnlineStore) -> None:
    """A model of earlier definitions goes on answering while newer ones are published."""
    store.publish(version(1, hash_="old"), entities(1))
    store.publish(version(2, hash_="old"), entities(2))
    store.publish(version(3, hash_="new"), entities(3))
    for asked, number in (("old", 2.0), ("new", 3.0), (None, 3.0)):
        answered = store.get("loans", ["0"], asked)
        assert answered is not None
        assert [f and f.features["n"] for f in answered[1]] == [number]
    assert store.get("loans", ["0"], "other") is None
    store.publish(version(4, hash_="old"), entities(4))
    answered = store.get("loans", ["0"], "old")
    assert answered is not None
    assert answered[0].feature_snapshot_id == "4"
    assert store.get("loans", ["0"], "new") is not None


def test_definitions_that_nobody_publishes_any_more_are_forgotten(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "online.db"))
    for number in range(6):
        store.publish(version(number, hash_=f"h{number}"), entities(number))
    assert [store.get("loans", ["0"], f"h{n}") is not None for n in range(6)] == [False] * 3 + [True] * 3
    import sqlite3

    (count,) = sqlite3.connect(tmp_path / "online.db").execute("SELECT count(*) FROM entities").fetchone()
    assert count == 9
    store.close()
