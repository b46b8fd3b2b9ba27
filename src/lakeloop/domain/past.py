"""As-of aggregates over an entity's earlier rows: one kernel for every engine, so that all give the same bits. Pure.

An engine brings rows together by entity and in order (`past_order`); what a row sees of its past (`past_frames`) is
computed here, on Arrow columns. Sums, minima and maxima of a frame are folded as `past_folds` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lakeloop.domain.dialects import MICROSECONDS_A_DAY
from lakeloop.domain.past_columns import PastFeature
from lakeloop.domain.past_folds import Floats, Join, Stretches, folded
from lakeloop.domain.past_frames import Columns, Frame, Seen, frame
from lakeloop.domain.past_order import Mask, Positions


def known_count(frame: Frame, known: Mask) -> Positions:
    """Known values in each frame."""
    if known.all():
        return frame.high - frame.low
    before = np.concatenate(([0], np.cumsum(known, dtype=np.int64)))
    return np.asarray(before[frame.high] - before[frame.low])


def _folded(seen: Seen, frame: Frame, values: Floats, join: Join, neutral: float) -> Floats:
    """`join` over the values of each frame; NaN values are passed over, an empty frame has the neutral one."""
    stretches = Stretches(seen.starts, None if frame.from_start else frame.low, frame.high, frame.entity)
    return folded(np.where(np.isnan(values), neutral, values), stretches, join, neutral)


def past_count(seen: Seen, frame: Frame, value: str | None) -> pa.Array:
    """Earlier rows, or those of them with a known value; never null."""
    counts = frame.high - frame.low if value is None else known_count(frame, _known(seen, value))
    return pa.array(counts.astype(np.float64))


def past_sum(seen: Seen, frame: Frame, value: str) -> pa.Array:
    """Sum of the known values; null without any."""
    counts = known_count(frame, _known(seen, value))
    return pa.array(_folded(seen, frame, seen.numbers[value], np.add, 0.0), mask=counts == 0)


def past_mean(seen: Seen, frame: Frame, value: str) -> pa.Array:
    """Mean of the known values; null without any."""
    counts = known_count(frame, _known(seen, value))
    sums = _folded(seen, frame, seen.numbers[value], np.add, 0.0)
    return pa.array(sums / np.maximum(counts, 1), mask=counts == 0)


def past_min(seen: Seen, frame: Frame, value: str) -> pa.Array:
    """Smallest known value; null without any."""
    lowest = _folded(seen, frame, seen.numbers[value], np.minimum, np.inf)
    return pa.array(lowest, mask=np.isinf(lowest))


def past_max(seen: Seen, frame: Frame, value: str) -> pa.Array:
    """Largest known value; null without any."""
    highest = _folded(seen, frame, seen.numbers[value], np.maximum, -np.inf)
    return pa.array(highest, mask=np.isinf(highest))


def past_last(seen: Seen, frame: Frame, value: str) -> pa.Array:
    """The newest known value; of several of one instant that of the largest key. Null without any."""
    newest = np.maximum.accumulate(np.where(_known(seen, value), np.arange(len(seen.at)), -1))
    newest = np.concatenate(([-1], newest))[frame.high]
    positions = pa.array(newest, mask=newest < frame.low)
    values = seen.texts[value] if value in seen.texts else pa.array(seen.numbers[value])
    return values.take(positions)


def past_days_since_last(seen: Seen, frame: Frame, value: None = None) -> pa.Array:  # noqa: ARG001
    """Days since the newest earlier row, with fractions; null without one."""
    some = frame.low < frame.high
    last = np.where(some, frame.high - 1, 0)
    since = frame.at - (seen.at[last] if len(seen.at) else 0)
    return pa.array(since / MICROSECONDS_A_DAY, mask=~some)


_KINDS: dict[str, Callable[[Seen, Frame, Any], pa.Array]] = {
    "count": past_count,
    "mean": past_mean,
    "sum": past_sum,
    "min": past_min,
    "max": past_max,
    "last": past_last,
    "days_since_last": past_days_since_last,
}


def computed(
    features: Sequence[PastFeature], seen: Seen, entity: Positions, at: Positions, *, all_look: bool
) -> Columns:
    """Features of rows that look back, by name.

    Args:
        features: all of one entity.
        seen: rows that can be looked at.
        entity: the number of each looking row's entity.
        at: its time.
        all_look: as in `frame`.
    """
    frames: dict[tuple[int | None, int], Frame] = {}
    found = {}
    for feature in features:
        wanted = (feature.window_us, feature.delay_us)
        if wanted not in frames:
            frames[wanted] = frame(seen, entity, at, *wanted, all_look=all_look)
        found[feature.name] = _KINDS[feature.aggregate](seen, frames[wanted], feature.value)
    return found


def _known(seen: Seen, value: str) -> Mask:
    if value in seen.texts:
        return np.asarray(seen.texts[value].is_valid().to_numpy(zero_copy_only=False))
    return ~np.isnan(seen.numbers[value])
