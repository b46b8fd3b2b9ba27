"""Who scores what a booster sees: the model of this process, or the predictor behind a transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lakeloop.serving.api import in_thread
from lakeloop.serving.predictor.batching import Batcher, Scored, Sent
from lakeloop.serving.predictor.explaining import explain
from lakeloop.serving.predictor.protocols import Explanation

if TYPE_CHECKING:
    import numpy as np

    from lakeloop.serving.model import ServedModel


class Scorer(Protocol):
    """Scores, logs, then answers."""

    async def score(
        self, matrix: np.ndarray[Any, Any], sent: Sent, *, explained: bool = False
    ) -> tuple[Scored, Explanation | None]:
        """One request.

        Args:
            matrix: what the booster sees [rows, features].
            sent: the request, for the log.
            explained: with TreeSHAP, too.

        Raises:
            Refused: 503, it cannot be scored or logged now.
        """


class ModelScorer:
    """By the model of this process."""

    def __init__(self, model: ServedModel, batcher: Batcher) -> None:
        self._model, self._batcher = model, batcher

    async def score(
        self, matrix: np.ndarray[Any, Any], sent: Sent, *, explained: bool = False
    ) -> tuple[Scored, Explanation | None]:
        """As `Scorer` says."""
        scored = await self._batcher.score(matrix, sent)
        return scored, await in_thread(explain, self._model, matrix) if explained else None
