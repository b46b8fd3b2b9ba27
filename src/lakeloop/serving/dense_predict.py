"""A booster's scores of a float32 matrix by XGBoost's C interface, without the Python wrapper's time.

`Booster.inplace_predict` spends 0.2 ms a call on finding out what kind of data it got, three times what the trees take
for a row. `XGBoosterPredictFromDense` is the documented C function beneath it (XGBoost C API, "Prediction"). Its proxy
matrix, where none is handed to it, is made anew with each call, which reads the cgroup's files: 25 us. `checked`
compares both when a model is loaded.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakeloop.domain.errors import LakeloopError

if TYPE_CHECKING:
    import numpy as np
    import xgboost

Predict = Callable[["np.ndarray[Any, Any]"], "np.ndarray[Any, Any]"]

_INTERFACE = b'{"data": [%d, true], "shape": [%d, %d], "strides": null, "typestr": "<f4", "version": 3}'


class _Places:
    """Where one thread's calls read and write: XGBoost keeps the matrix in a proxy, and tells where the scores are."""

    def __init__(self) -> None:
        from xgboost.core import _LIB

        self.proxy, self.scores = ctypes.c_void_p(), ctypes.POINTER(ctypes.c_float)()
        self._free = _LIB.XGDMatrixFree
        _LIB.XGProxyDMatrixCreate(ctypes.byref(self.proxy))
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self.arguments = (self.proxy, *map(ctypes.byref, (shape, dimensions, self.scores)))

    def __del__(self) -> None:
        self._free(self.proxy)


def dense_predict(booster: xgboost.Booster) -> Predict:
    """A function: float32 matrix [rows, features], C order -> float32 scores [rows]; safe in several threads.

    Raises:
        LakeloopError: from the function: XGBoost refuses the matrix.
    """
    import numpy as np
    from xgboost.core import _LIB

    fixed = {"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": False}
    configuration = json.dumps({**fixed, "cache_id": 0, "missing": float("nan")}).encode()
    predict, handle = _LIB.XGBoosterPredictFromDense, booster.handle
    _LIB.XGBGetLastError.restype = ctypes.c_char_p
    of_thread = threading.local()

    def scores(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not hasattr(of_thread, "places"):
            of_thread.places = _Places()
        places = of_thread.places
        interface = _INTERFACE % (matrix.ctypes.data, *matrix.shape)
        if predict(handle, interface, configuration, *places.arguments):
            raise LakeloopError(
                _LIB.XGBGetLastError().decode(errors="replace").splitlines()[0], where="XGBoost"
            )
        # The buffer is this thread's own until its next call: copied at once.
        return np.ctypeslib.as_array(places.scores, (len(matrix),)).copy()

    return scores


def checked(booster: xgboost.Booster, features: int) -> Predict:
    """The fast function, or `inplace_predict` where it does not give the very same scores here.

    Args:
        booster: with one score a row.
        features: columns of its matrix.
    """
    import numpy as np

    matrix = np.random.default_rng(0).normal(0, 100, (64, features)).astype(np.float32)
    matrix[matrix > 150] = np.nan  # noqa: PLR2004 - some missing values
    expected = booster.inplace_predict(matrix)
    try:
        fast = dense_predict(booster)
        if expected.shape == (len(matrix),) and np.array_equal(fast(matrix), expected):
            return fast
    except (ImportError, AttributeError, LakeloopError):
        pass
    return booster.inplace_predict  # type: ignore[no-any-return]
