"""Served functions: with metrics, an answer has a uuid under which the function tracks."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from cml import _store

Function = Callable[[dict[str, Any]], Any]


def cml_model(function: Function | None = None, *, metrics: bool = False) -> Any:
    """Decorator of the function that a build serves."""
    if function is None:
        return functools.partial(cml_model, metrics=metrics)

    @functools.wraps(function)
    def served(request: dict[str, Any]) -> Any:
        if not metrics:
            return function(request)
        with _store.prediction(str(uuid.uuid4())) as prediction:
            answer = function(request)
        return {"uuid": prediction, "prediction": answer}

    served.decorated = True  # type: ignore[attr-defined]
    return served
