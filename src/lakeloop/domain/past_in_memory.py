"""As-of features of rows that are all in memory: sorted as numbers, computed in pieces of whole entities. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from lakeloop.domain.past import Columns, PastStream, Seen, computed, placed_rows
from lakeloop.domain.past_columns import AT, BOTH, LOOKS, ROLE, SEEN, PastColumns
from lakeloop.domain.past_folds import Floats
from lakeloop.domain.past_order import Positions, changes, entity_codes, ordered

PIECE_ROWS = 131_072
"""Rows of a piece, about: so many stay in the processor's cache."""
PART_ROWS = 1_000_000
"""Rows that are sorted together, about: memory of so many is used again, that of more comes anew from the kernel."""
BATCH_ROWS = 65_536
_THREADS = min(4, os.cpu_count() or 1)
_MOST_PARTS, _GOLDEN = 255, np.uint64(0x9E3779B97F4A7C15)


def past_of(looking: pa.Table, columns: PastColumns, seen: pa.Table | None = None) -> Columns:
    """Features of rows in memory, by name, in the rows' own order.

    Args:
        looking: the hidden columns of the rows that look back, in any order.
        columns: says what to compute.
        seen: those of the rows that are seen; None: the looking ones are.
    """
    names, count = [n for n in columns.names if n != ROLE], looking.num_rows
    rows = looking.select(names)
    if seen is not None:
        rows = pa.concat_tables([rows, seen.select(names)])
    numbers = _part_numbers(rows, columns)
    if numbers is None:
        return _past_of(rows.combine_chunks(), count, columns, all_seen=seen is None)

    def part(number: int) -> tuple[Columns, Positions]:
        mine = numbers == number
        places = np.flatnonzero(mine[:count])
        chosen = rows.filter(pa.array(mine)).combine_chunks()
        return _past_of(chosen, len(places), columns, all_seen=seen is None), places

    with ThreadPoolExecutor(_THREADS) as pool:
        pieces, names = (
            list(pool.map(part, range(int(numbers.max()) + 1))),
            [f.name for f in columns.features],
        )
        return dict(zip(names, pool.map(lambda name: _in_place(name, pieces, count), names), strict=True))


def with_past_at_once(
    batches: Iterator[pa.RecordBatch], columns: PastColumns, keep: list[str]
) -> Iterator[pa.RecordBatch]:
    """`past.with_past` of rows in any order, all in memory: those that look back, in their order."""
    held = list(batches)
    if not held:
        return
    rows, seen = pa.Table.from_batches(held), None
    role = rows.column(ROLE).to_numpy()
    if not (role == BOTH).all():
        seen = rows.filter(pa.array((role & SEEN).astype(bool)))
        rows = rows.filter(pa.array((role & LOOKS).astype(bool)))
    found = past_of(rows, columns, seen)
    table = pa.table({name: found[name] if name in found else rows.column(name) for name in keep})
    yield from table.to_batches(max_chunksize=BATCH_ROWS)


def _part_numbers(rows: pa.Table, columns: PastColumns) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """Which part each row is in: of whole entities, about as many rows in each; None where one part is enough."""
    busy = min(_THREADS, rows.num_rows // PIECE_ROWS)
    parts = min(max(round(rows.num_rows / PART_ROWS), busy), _MOST_PARTS)
    if parts < 2:  # noqa: PLR2004 - one part is the whole
        return None
    codes = entity_codes([rows.column(name) for name in columns.entity])
    numbers = np.empty(len(codes), np.uint8)
    for start in range(0, len(codes), PART_ROWS):
        spread = codes[start : start + PART_ROWS].astype(np.uint64) * _GOLDEN >> np.uint64(32)
        numbers[start : start + PART_ROWS] = spread * np.uint64(parts) >> np.uint64(32)
    return numbers


def _past_of(rows: pa.Table, count: int, columns: PastColumns, *, all_seen: bool) -> Columns:
    """Of the first `count` rows, which look back at the others, or at each other, in their order."""
    placed = np.flatnonzero(placed_rows(rows, list(columns.entity)))
    split = int(np.searchsorted(placed, count))
    looks = placed[:split]
    if not len(looks):
        return PastStream(columns).nothing(count)
    past = _past(rows, columns, placed if all_seen else placed[split:])
    if all_seen:
        return _each_in_place(past.computed(columns, past.order, None), past.order, count)
    entity = past.entity_of(past.codes[looks])
    by = np.argsort(entity, kind="stable")
    return _each_in_place(past.computed(columns, looks[by], entity[by]), looks[by], count)


def _each_in_place(found: Columns, places: Positions, count: int) -> Columns:
    return {name: _in_place(name, [(found, places)], count) for name in found}


def _in_place(name: str, pieces: Sequence[tuple[Columns, Positions]], count: int) -> pa.Array:
    """A feature's values, which each piece has for its positions, in the order of all `count` rows; else null."""
    if pa.types.is_string(pieces[0][0][name].type):
        place = np.full(count, -1)
        place[np.concatenate([places for _, places in pieces])] = np.arange(sum(len(p) for _, p in pieces))
        return pa.concat_arrays([found[name] for found, _ in pieces]).take(pa.array(place, mask=place < 0))
    values, unknown = np.zeros(count), np.ones(count, bool)
    for found, places in pieces:
        values[places] = found[name].fill_null(0.0).to_numpy()
        unknown[places] = found[name].is_null().to_numpy(zero_copy_only=False)
    return pa.array(values, mask=unknown)


@dataclass(frozen=True)
class _Past:
    """Rows in memory, and in which `order` those are seen that have a place: of entity i those from `starts[i]` on.

    One more entity, the last one, has no rows: for who looks back and has no past.
    """

    rows: pa.Table
    codes: Positions
    at: Positions
    order: Positions
    starts: Positions

    def entity_of(self, codes: Positions) -> Positions:
        """The number of the entity of each code."""
        known = self.codes[self.order[self.starts[:-2]]]
        entity = np.searchsorted(known, codes)
        inside = np.minimum(entity, max(len(known) - 1, 0))
        missing = known[inside] != codes if len(known) else np.ones(len(codes), bool)
        return np.where(missing, len(known), entity)

    def computed(self, columns: PastColumns, looks: Positions, entity: Positions | None) -> Columns:
        """Features of the rows at `looks`, whose entities ascend; None: they are the seen ones, in their order."""
        values = {name: self._values(name, columns) for name in columns.values}
        all_look = entity is None
        if entity is None:
            entity = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        parts = []
        for first, end in pairwise(self._cuts()):
            chosen = self.order[self.starts[first] : self.starts[end]]
            numbers = {n: v[chosen] for n, v in values.items() if isinstance(v, np.ndarray)}
            texts = {n: v.take(pa.array(chosen)) for n, v in values.items() if isinstance(v, pa.Array)}
            seen = Seen(self.at[chosen], self.starts[first : end + 1] - self.starts[first], numbers, texts)
            low, high = np.searchsorted(entity, [first, end])
            mine = entity[low:high] - first
            parts.append(computed(columns.features, seen, mine, self.at[looks[low:high]], all_look=all_look))
        return {f.name: pa.concat_arrays([part[f.name] for part in parts]) for f in columns.features}

    def _values(self, name: str, columns: PastColumns) -> Floats | pa.Array:
        column = self.rows.column(name)
        if name in columns.texts:
            return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        return np.asarray(column.fill_null(np.nan).to_numpy())

    def _cuts(self) -> list[int]:
        """Numbers of entities at which a piece begins, and after the last one."""
        wanted = np.arange(PIECE_ROWS, len(self.order), PIECE_ROWS)
        inner = np.searchsorted(self.starts[:-1], wanted)
        return sorted({0, *inner.tolist(), len(self.starts) - 1})


def _past(rows: pa.Table, columns: PastColumns, seen: Positions) -> _Past:
    """Of the rows at `seen`."""
    codes = entity_codes([rows.column(name) for name in columns.entity])
    at = np.asarray(rows.column(AT).fill_null(0).to_numpy())
    order = ordered(rows, columns, codes, at, seen)
    starts = np.flatnonzero(changes(codes[order]))
    return _Past(rows, codes, at, order, np.concatenate((starts, [len(order)] * 2)))
