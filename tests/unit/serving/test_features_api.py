"""Features by id, and predictions by id: what a caller sees."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from lakeloop.adapters.sqlite.online_store import SqliteOnlineStore
from lakeloop.domain.online import EntityFeatures, OnlineVersion
from lakeloop.serving.api import Guards
from lakeloop.serving.features.app import MAX_IDS, build_app
from lakeloop.serving.http import Tokens
from lakeloop.serving.model import load
from lakeloop.serving.prediction_log.rows import prediction_rows
from lakeloop.serving.prediction_log.segments import SegmentWriter, read_segment
from lakeloop.serving.predictor.app import build_app as build_predictor
from lakeloop.serving.predictor.lookup import FeatureLookup
from tests.fakes.models import ROWS, model_folder

HASH = "0123456789abcdef"
AT = "2026-01-01T00:00:00.000+00:00"
EVERYONE = {
    "1": {"amount": 0.7, "age": 31.0, "kind": "b"},
    "ñandú 2/3%41": {"amount": 0.2, "age": None, "kind": "a"},
    "3": {"amount": None, "age": 64.0, "kind": "never seen"},
}


@pytest.fixture
def store(tmp_path: Path) -> SqliteOnlineStore:
    made = SqliteOnlineStore(tmp_path / "online.db")
    publish(made)
    return made


def publish(store: SqliteOnlineStore, hash_: str = HASH) -> None:
    version = OnlineVersion(
        use_case="fraud",
        feature_hash=hash_,
        feature_table="bank.t__fraud_features",
        feature_snapshot_id="4410985533172097713",
        source_snapshot_id="3051729675574597004",
        computed_at=AT,
        entity=("id",),
        features=("amount", "age", "kind"),
    )
    store.publish(version, [(i, EntityFeatures(event_time=AT, features=f)) for i, f in EVERYONE.items()])


def call(app: Any, method: str, path: str, **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def test_one_entity_s_features_with_the_snapshot_they_come_from(store: SqliteOnlineStore) -> None:
    app = build_app("fraud", store)
    answer = call(app, "GET", "/features/1").json()
    assert answer["features"] == EVERYONE["1"]
    assert answer["as_of"] == {
        "snapshot_id": "3051729675574597004",
        "feature_snapshot_id": "4410985533172097713",
        "computed_at": AT,
        "feature_hash": HASH,
    }
    assert call(app, "GET", "/features/%C3%B1and%C3%BA%202%2F3%2541").json()["features"]["kind"] == "a"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/features/4711", 404),
        ("/features/1%20or%201%3D1", 404),
        ("/features/%2A", 404),
        ("/features/%2531", 404),
        ("/features/%00", 422),
        ("/features/%E2%80%AE", 422),
        (f"/features/{'x' * 257}", 422),
        ("/features/", 404),
        ("/features/..%2F..%2Fetc", 404),
    ],
)
def test_an_unknown_or_monstrous_id_is_refused(store: SqliteOnlineStore, path: str, status: int) -> None:
    answer = call(build_app("fraud", store), "GET", path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_many_ids_come_back_in_their_order_and_unknown_ones_as_null(store: SqliteOnlineStore) -> None:
    app = build_app("fraud", store)
    answer = call(app, "POST", "/features", json={"ids": ["3", "nobody", "1"]}).json()
    assert [e and e["id"] for e in answer["entities"]] == ["3", None, "1"]
    for wrong in (
        {"ids": []},
        {"ids": [1]},
        {"ids": "1"},
        {"ids": ["1"] * (MAX_IDS + 1)},
        {"ids": ["1"], "x": 1},
        [],
    ):
        assert call(app, "POST", "/features", json=wrong).status_code == 422
    assert call(app, "POST", "/features", content=b'{"ids": ["' + b"x" * 2**20 + b'"]}').status_code == 422


@pytest.mark.parametrize(
    "told", ['["4711","ñ"]', '["4711", "ñ"]', '[4711, "\\u00f1"]', ' [ 4711,\t"ñ" ]'.replace("\t", " ")]
)
def test_an_entity_of_several_columns_is_a_json_list_however_it_is_written(
    store: SqliteOnlineStore, told: str
) -> None:
    version = OnlineVersion(
        use_case="visits",
        feature_hash=HASH,
        feature_table="a.b",
        feature_snapshot_id="1",
        source_snapshot_id="2",
        computed_at=AT,
        entity=("patient", "clinic"),
        features=("n",),
    )
    store.publish(version, [('["4711","ñ"]', EntityFeatures(event_time=AT, features={"n": 1.0}))])
    app = build_app("visits", store)
    assert call(app, "GET", f"/features/{quote(told, safe='')}").json()["features"] == {"n": 1.0}
    found = call(
        app, "POST", "/features", json={"ids": [told, "4711", '["4711"]', '["4711","o"]', "[", "{}"]}
    )
    assert [e and e["id"] for e in found.json()["entities"]] == [told, None, None, None, None, None]


def test_nothing_published_is_not_ready_and_a_token_is_asked_for(
    tmp_path: Path, store: SqliteOnlineStore
) -> None:
    app = build_app("nothing", SqliteOnlineStore(tmp_path / "other.db"))
    assert call(app, "GET", "/health/ready").status_code == 503
    assert call(app, "GET", "/features/1").status_code == 503
    guarded = build_app("fraud", store, Guards(Tokens(["secret"])))
    assert call(guarded, "GET", "/features/1").status_code == 401
    assert call(guarded, "GET", "/features/1", headers={"authorization": "Bearer secret"}).status_code == 200
    assert call(guarded, "GET", "/health/ready").status_code == 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(model_folder(tmp_path_factory.mktemp("model") / "m").model_folder)


def test_a_prediction_by_id_is_the_prediction_by_values(
    store: SqliteOnlineStore, folder: Path, tmp_path: Path
) -> None:
    model = load(folder)
    log = SegmentWriter(tmp_path / "log", {"identity": model.identity.model_dump(), "columns": {}})
    app = build_predictor(model, log, lookup=FeatureLookup(model, store))
    by_id = call(app, "POST", "/predictions?explain=true", json={"ids": list(EVERYONE)}).json()
    by_values = call(build_predictor(model), "POST", "/predictions", json={"rows": ROWS}).json()
    assert by_id["scores"] == by_values["scores"]
    assert len(by_id["explanations"]) == 3
    (segment,) = (tmp_path / "log").glob("*.segment")
    first, *_ = prediction_rows(read_segment(segment.read_bytes()))
    assert json.loads(first["inputs"]) == {
        "id": "1",
        "features": EVERYONE["1"],
        "feature_snapshot_id": "4410985533172097713",
    }


def test_by_id_is_refused_where_the_answer_would_be_wrong(store: SqliteOnlineStore, folder: Path) -> None:
    model = load(folder)
    app = build_predictor(model, lookup=FeatureLookup(model, store))
    unknown = call(app, "POST", "/predictions", json={"ids": ["1", "nobody"]})
    assert (unknown.status_code, "ids[1] is the first" in unknown.json()["error"]) == (404, True)
    assert call(app, "POST", "/predictions", json={"ids": ["1 or 1=1"]}).status_code == 404
    assert call(app, "POST", "/predictions", json={"ids": ["1"], "rows": ROWS}).status_code == 422
    assert call(build_predictor(model), "POST", "/predictions", json={"ids": ["1"]}).status_code == 422
    publish(store, "ffffffffffffffff")
    assert call(app, "POST", "/predictions", json={"ids": ["1"]}).status_code == 200, (
        "its own are there still"
    )


def test_by_id_features_of_other_definitions_alone_are_refused(tmp_path: Path, folder: Path) -> None:
    model, other = load(folder), SqliteOnlineStore(tmp_path / "other.db")
    app = build_predictor(model, lookup=FeatureLookup(model, other))
    assert call(app, "POST", "/predictions", json={"ids": ["1"]}).status_code == 503
    publish(other, "ffffffffffffffff")
    refused = call(app, "POST", "/predictions", json={"ids": ["1"]})
    assert (refused.status_code, "ffffffffffffffff" in refused.json()["error"]) == (409, True)
