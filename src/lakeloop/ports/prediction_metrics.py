"""Predictions that a platform tracked beside a served model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lakeloop.domain.tracked import TrackedPrediction


class PredictionMetrics(Protocol):
    """Of one endpoint; times in milliseconds since the epoch."""

    def read(self, start_ms: int, end_ms: int) -> tuple[TrackedPrediction, ...]:
        """What was predicted in a span of time, with what came true, oldest first."""

    def tell_truths(self, truths: Mapping[str, bool], start_ms: int, end_ms: int) -> int:
        """Add what came true, by prediction id, to predictions of that span; how many requests were changed."""

    def record_window(self, metrics: Mapping[str, float], start_ms: int, end_ms: int) -> None:
        """Keep what a span of time says as a whole."""
