from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.model_files import BOOSTER_FILE
from lakeloop.domain.rollout import Identity
from lakeloop.serving.http import MAX_BODY_BYTES
from lakeloop.serving.model import load
from lakeloop.serving.predictor.app import build_app
from lakeloop.serving.predictor.batching import ROWS_IN_LOOP
from tests.fakes.models import ROWS, SNAPSHOT, model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(model_folder(tmp_path_factory.mktemp("model") / "m", version="7").model_folder)


@pytest.fixture(scope="module")
def app(folder: Path) -> Any:
    return build_app(load(folder))


def call(app: Any, method: str, path: str, **request: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def by_hand(folder: Path) -> list[float]:
    """The booster's own answer to ROWS, written as a matrix: nulls and unseen categories are missing."""
    import xgboost

    nan = np.nan
    matrix = np.array([[0.7, 31, 1], [0.2, nan, 0], [nan, 64, nan]], dtype=np.float32)
    return list(map(float, xgboost.Booster(model_file=folder / BOOSTER_FILE).inplace_predict(matrix)))


def test_rows_are_scored_as_the_booster_scores_their_matrix(app: Any, folder: Path) -> None:
    answer = call(app, "POST", "/predict", json={"rows": ROWS}).json()
    assert answer["scores"] == by_hand(folder)
    assert (answer["model_version"], answer["snapshot_id"]) == ("7", SNAPSHOT)
    assert len(set(answer["prediction_ids"])) == len(ROWS)


def test_many_rows_keep_their_order(app: Any, folder: Path) -> None:
    times = ROWS_IN_LOOP // 2
    answer = call(app, "POST", "/predict", json={"rows": ROWS * times}).json()
    assert answer["scores"] == by_hand(folder) * times


def test_it_says_who_it_is_and_how_it_is(app: Any) -> None:
    import xgboost

    said = Identity.model_validate_json(call(app, "GET", "/version").content)
    assert (said.version, said.to_snapshot_id, said.xgboost_version) == ("7", SNAPSHOT, xgboost.__version__)
    assert call(app, "GET", "/health/live").status_code == 200
    assert call(app, "GET", "/health/ready").json()["status"] == "ready"
    assert "amount" in json.dumps(call(app, "GET", "/openapi.json").json()["paths"]["/predict"])


def test_wrong_input_is_answered_422_with_its_place(app: Any) -> None:
    answer = call(app, "POST", "/predict", json={"rows": [ROWS[0], {**ROWS[0], "age": "old"}]})
    assert (answer.status_code, answer.json()) == (
        422,
        {"error": "row 1, column 'age': expected int, got the text \"old\""},
    )
    assert call(app, "POST", "/predict", content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413


def test_a_model_folder_with_other_bytes_or_without_a_file_does_not_load(tmp_path: Path) -> None:
    folder = Path(model_folder(tmp_path / "m").model_folder)
    booster = folder / BOOSTER_FILE
    good = booster.read_bytes()
    booster.write_bytes(good[:-1])
    with pytest.raises(LakeloopError, match="digest"):
        load(folder)
    booster.unlink()
    with pytest.raises(LakeloopError, match="incomplete"):
        load(folder)
