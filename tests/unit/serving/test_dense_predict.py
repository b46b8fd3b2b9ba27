"""XGBoost's C function gives what `inplace_predict` gives, whichever thread asks, and says what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lakeloop.domain.errors import LakeloopError
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.serving.dense_predict import dense_predict

MATRIX = np.random.default_rng(3).normal(0, 1, (500, 4)).astype(np.float32)
MATRIX[MATRIX > 2] = np.nan


@pytest.fixture(scope="module")
def booster() -> Any:
    import xgboost

    data = xgboost.DMatrix(MATRIX, label=np.nan_to_num(MATRIX[:, 0]) > 0)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 20)


def test_each_thread_gets_the_scores_of_its_own_matrix(booster: Any) -> None:
    expected, predict = booster.inplace_predict(MATRIX), dense_predict(booster)

    def right(start: int) -> bool:
        part = MATRIX[start : start + 1 + start % 90]
        return np.array_equal(predict(part), expected[start : start + len(part)])

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(right, range(400)))


def test_a_refused_matrix_is_an_error_and_the_next_one_is_scored(booster: Any) -> None:
    predict = dense_predict(booster)
    with pytest.raises(LakeloopError, match="columns"):
        predict(np.ascontiguousarray(MATRIX[:5, :3]))
    assert np.array_equal(predict(MATRIX[:5]), booster.inplace_predict(MATRIX[:5]))
