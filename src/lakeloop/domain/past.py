"""As-of aggregates over an entity's earlier rows: one kernel for every engine, so that all give the same bits. Pure.

An engine brings rows together by entity and in order (`past_order`); what a row sees of its past is computed here, on
Arrow columns. A row's frame is the stretch [low, high) of its entity's rows: strictly earlier ones, found by bisection.
Sums, minima and maxima of a frame are folded as `past_folds` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.dialects import MICROSECONDS_A_DAY
from lakeloop.domain.past_columns import AT, BOTH, LOOKS, ROLE, SEEN, PastColumns, PastFeature
from lakeloop.domain.past_folds import Floats, Join, Stretches, folded
from lakeloop.domain.past_order import Mask, Positions, changes

Columns = dict[str, pa.Array]
SMALLEST_STEP = 65_536
"""Rows that a stream collects before it computes; one entity's long past makes it collect more, to stay linear."""


@dataclass(frozen=True)
class Seen:
    """Rows that later ones see, together by entity and in order of time; of many entities, or part of one.

    `starts` are the first positions of the entities, ascending, and the row count as the last.
    """

    at: Positions
    starts: Positions
    numbers: dict[str, Floats]
    texts: Columns


@dataclass(frozen=True)
class Frame:
    """For each looking row the stretch [low, high) of seen rows, and the number of its entity.

    `from_start`: each begins with its entity's first row.
    """

    low: Positions
    high: Positions
    entity: Positions
    at: Positions
    from_start: bool


def frame(  # noqa: PLR0913
    seen: Seen,
    entity: Positions,
    at: Positions,
    window_us: int | None,
    delay_us: int,
    *,
    all_look: bool = False,
) -> Frame:
    """Rows of the entity in [at - window, at - delay); without a window from the entity's first row on.

    `all_look`: the looking rows are the seen ones, in their order; then nothing has to be searched for.
    """
    first, end = seen.starts[entity], seen.starts[entity + 1]
    known = all_look and not delay_us
    high = _first_of_instant(seen.at, entity) if known else _bisect(seen.at, first, end, at - delay_us)
    low = first if window_us is None else _bisect(seen.at, first, high, at - window_us)
    return Frame(low, high, entity, at, window_us is None)


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


@dataclass
class PastStream:
    """Computes the features of rows that come in order: by entity, and within it by time, key and values.

    Holds of the past only the last entity's times and values, eight bytes each: five million rows of one entity with
    two values take 120 MB here, whatever else the rows carry.
    """

    columns: PastColumns
    _entity: tuple[Any, ...] | None = None
    _at: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    _numbers: dict[str, Floats] = field(default_factory=dict)
    _texts: Columns = field(default_factory=dict)

    @property
    def step(self) -> int:
        """How many rows to feed at once so that the whole stays linear in the rows."""
        return max(SMALLEST_STEP, len(self._at) // 8)

    def feed(self, rows: pa.RecordBatch) -> Columns:
        """Features of those of the next rows that look back, by name, in the rows' order."""
        role = rows.column(ROLE).to_numpy()
        placed = placed_rows(rows, list(self.columns.entity))
        looking = (role & LOOKS).astype(bool)
        if not placed.any():
            return self.nothing(int(looking.sum()))
        if not placed.all():
            rows, role = rows.filter(pa.array(placed)), role[placed]
        at = rows.column(AT).to_numpy()
        entity, goes_on = self._numbered(rows)
        seen, first = self._seen(rows, (role & SEEN).astype(bool), at, entity, goes_on=goes_on)
        looks = (role & LOOKS).astype(bool)
        # Of the rows of an earlier piece none is among these, even where their numbers happen to be equal.
        all_look = bool((role == BOTH).all()) and len(seen.at) == rows.num_rows
        found = computed(self.columns.features, seen, entity[looks] - first, at[looks], all_look=all_look)
        if placed.all():
            return found
        spread = np.full(len(looking), -1)
        spread[looking & placed] = np.arange(int(looks.sum()))
        spread = spread[looking]
        return {name: values.take(pa.array(spread, mask=spread < 0)) for name, values in found.items()}

    def nothing(self, rows: int) -> Columns:
        """What rows without a place in time or without an entity have: nulls."""
        texts = self.columns.texts
        return {
            f.name: pa.nulls(rows, pa.string() if f.value in texts else pa.float64())
            for f in self.columns.features
        }

    def _numbered(self, rows: pa.RecordBatch) -> tuple[Positions, bool]:
        """The entity's number of each row, from 0 where it is still the one before, else from 1."""
        changes = np.zeros(rows.num_rows, bool)
        columns = [rows.column(name) for name in self.columns.entity]
        for column in columns:
            changes[1:] |= pc.not_equal(column.slice(1), column.slice(0, rows.num_rows - 1)).to_numpy(
                zero_copy_only=False
            )
        first = tuple(column[0].as_py() for column in columns)
        goes_on = first == self._entity
        self._entity = tuple(column[rows.num_rows - 1].as_py() for column in columns)
        changes[0] = not goes_on
        return np.cumsum(changes, dtype=np.int64), goes_on

    def _seen(
        self, rows: pa.RecordBatch, is_seen: Mask, at: Positions, entity: Positions, *, goes_on: bool
    ) -> tuple[Seen, int]:
        """What these rows may look at, and the number of its first entity; keeps the last entity's part of it."""
        kept = len(self._at) if goes_on else 0
        chosen = rows if is_seen.all() else rows.filter(pa.array(is_seen))
        numbers, texts = dict[str, Floats](), Columns()
        for name in self.columns.values:
            column = chosen.column(name)
            if name in self.columns.texts:
                before = self._texts.get(name, column.slice(0, 0))
                texts[name] = pa.concat_arrays([before.slice(len(before) - kept), column])
            else:
                fresh = pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False)
                before = self._numbers.get(name, fresh[:0])
                numbers[name] = np.concatenate((before[len(before) - kept :], fresh))
        all_at = np.concatenate((self._at[len(self._at) - kept :], at[is_seen]))
        first = int(entity[0])
        counts = np.bincount(entity[is_seen] - first, minlength=int(entity[-1]) - first + 1).astype(np.int64)
        counts[0] += kept
        seen = Seen(all_at, np.concatenate(([0], np.cumsum(counts))), numbers, texts)
        self._keep(seen, int(seen.starts[-2]))
        return seen, first

    def _keep(self, seen: Seen, start: int) -> None:
        self._at = seen.at[start:].copy()
        self._numbers = {name: values[start:].copy() for name, values in seen.numbers.items()}
        self._texts = {name: values.slice(start) for name, values in seen.texts.items()}


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


def with_past(
    batches: Iterator[pa.RecordBatch], columns: PastColumns, keep: list[str]
) -> Iterator[pa.RecordBatch]:
    """Rows in order -> the rows that look back, with `keep`: their own columns and the features, in that order."""
    stream, waiting = PastStream(columns), list[pa.RecordBatch]()
    for batch in batches:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= stream.step:
            yield _joined(stream, waiting, keep)
            waiting = []
    if waiting:
        yield _joined(stream, waiting, keep)


def _joined(stream: PastStream, waiting: list[pa.RecordBatch], keep: list[str]) -> pa.RecordBatch:
    rows = pa.concat_batches(waiting)
    found = stream.feed(rows)
    role = rows.column(ROLE).to_numpy()
    if not (role == BOTH).all():
        rows = rows.filter(pa.array((role & LOOKS).astype(bool)))
    return pa.RecordBatch.from_arrays([found[c] if c in found else rows.column(c) for c in keep], names=keep)


def _first_of_instant(at: Positions, entity: Positions) -> Positions:
    """For each of the rows in order the first one of its entity and time."""
    begins = changes(at) | changes(entity)
    return np.asarray(np.maximum.accumulate(np.where(begins, np.arange(len(at)), 0)))


def _bisect(at: Positions, low: Positions, high: Positions, wanted: Positions) -> Positions:
    """In each stretch [low, high) of ascending times the first position that is not before the wanted time."""
    low, high = low.copy(), high.copy()
    todo = np.flatnonzero(low < high)
    while len(todo):
        middle = (low[todo] + high[todo]) >> 1
        earlier = at[middle] < wanted[todo]
        low[todo] = np.where(earlier, middle + 1, low[todo])
        high[todo] = np.where(earlier, high[todo], middle)
        todo = todo[low[todo] < high[todo]]
    return low


def _known(seen: Seen, value: str) -> Mask:
    if value in seen.texts:
        return np.asarray(seen.texts[value].is_valid().to_numpy(zero_copy_only=False))
    return ~np.isnan(seen.numbers[value])


def placed_rows(rows: pa.RecordBatch | pa.Table, entity: list[str]) -> Mask:
    """Rows that have a place: a known time and a known entity."""
    placed = np.ones(rows.num_rows, bool)
    for name in (*entity, AT):
        if rows.column(name).null_count:
            placed &= np.asarray(pc.is_valid(rows.column(name)))
    return placed
