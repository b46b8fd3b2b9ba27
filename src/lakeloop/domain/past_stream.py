"""As-of features of rows that come in order, however many: batch by batch, one entity's past in memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.past import computed
from lakeloop.domain.past_columns import AT, BOTH, LOOKS, ROLE, SEEN, PastColumns
from lakeloop.domain.past_folds import Floats
from lakeloop.domain.past_frames import Columns, Seen
from lakeloop.domain.past_order import Mask, Positions, placed_rows

SMALLEST_STEP = 65_536
"""Rows that a stream collects before it computes; one entity's long past makes it collect more, to stay linear."""


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
