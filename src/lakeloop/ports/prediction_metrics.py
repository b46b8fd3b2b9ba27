"""Predictions that were kept beside a served model: by a platform, or in lakeloop's own prediction log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lakeloop.domain.drift import Window
from lakeloop.domain.tracked import TrackedPrediction


class PredictionMetrics(Protocol):
    """Of one model; times in milliseconds since the epoch, a span's end is exclusive."""

    def read(self, start_ms: int, end_ms: int) -> tuple[TrackedPrediction, ...]:
        """What was predicted in a span of time, with what came true, oldest first.

        Raises:
            LakeloopError: it cannot be read; says why.
        """

    def tell_truths(self, truths: Mapping[str, bool], start_ms: int, end_ms: int) -> int:
        """Add what came true, by prediction id, to predictions of that span; how many things were changed.

        The same again changes nothing; where several words were said about a prediction, the last one counts.
        """

    def record_windows(self, windows: Sequence[Window]) -> int:
        """Keep what spans of time say as a whole; how many were new. A span that is kept as it is is left alone."""
