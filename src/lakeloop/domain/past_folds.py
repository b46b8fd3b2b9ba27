"""Sums, minima and maxima over stretches of an entity's rows, the same bits however the rows were cut. Pure.

A stretch is folded from aligned blocks of 1, 2, 4, ... rows counted from the entity's first row (a segment tree:
Bentley, "Decomposable searching problems", 1979), so that any window costs O(log n), a sum has the error of pairwise
summation, and no other entity, cut or partition can show in a bit of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lakeloop.domain.past_order import Positions

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Join = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Stretches:
    """Stretches [low, high) of rows that are together by entity.

    `starts` are the first positions of the entities, ascending, and the row count as the last; `entity` has the number
    of each stretch's entity. `low` None: each begins with its entity's first row.
    """

    starts: Positions
    low: Positions | None
    high: Positions
    entity: Positions


def folded(level: Floats, stretches: Stretches, join: Join, neutral: float) -> Floats:
    """`join` over the values of each stretch; an empty one has the neutral value.

    Args:
        level: a value a row.
        stretches: of rows.
        join: of two neighbouring values.
        neutral: that changes nothing by joining.
    """
    if stretches.low is None:
        return _from_the_first(level, stretches, join, neutral)
    entity, offsets, sizes = stretches.entity, stretches.starts[:-1], np.diff(stretches.starts)
    low, high = stretches.low - offsets[entity], stretches.high - offsets[entity]
    left, right = np.full(len(low), neutral), np.full(len(low), neutral)
    todo = np.flatnonzero(low < high)
    while len(todo):
        base = offsets[entity[todo]]
        odd = (low[todo] & 1).astype(bool)
        rows = todo[odd]
        left[rows] = join(left[rows], level[base[odd] + low[rows]])
        low[rows] += 1
        odd = (high[todo] & 1).astype(bool)
        rows = todo[odd]
        high[rows] -= 1
        right[rows] = join(level[base[odd] + high[rows]], right[rows])
        low[todo] >>= 1
        high[todo] >>= 1
        todo = todo[low[todo] < high[todo]]
        if len(todo):
            level, offsets, sizes = _pairs(level, offsets, sizes, join)
    return join(left, right)


def _from_the_first(level: Floats, stretches: Stretches, join: Join, neutral: float) -> Floats:
    """The same bits in a third of the time: only the ends of the stretches have rows that are in no block."""
    entity, offsets, sizes = stretches.entity, stretches.starts[:-1], np.diff(stretches.starts)
    rest = stretches.high - offsets[entity]
    found, todo = np.full(len(rest), neutral), np.flatnonzero(rest)
    rest, entity = rest[todo], entity[todo]
    while len(todo):
        odd = np.flatnonzero(rest & 1)
        rows = todo[odd]
        found[rows] = join(level[offsets[entity[odd]] + rest[odd] - 1], found[rows])
        rest >>= 1
        on = np.flatnonzero(rest)
        todo, rest, entity = todo[on], rest[on], entity[on]
        if len(todo):
            level, offsets, sizes = _pairs(level, offsets, sizes, join)
    return join(np.full(len(found), neutral), found)


def _pairs(
    level: Floats, offsets: Positions, sizes: Positions, join: Join
) -> tuple[Floats, Positions, Positions]:
    """The next level of blocks: each two whole neighbours of one entity joined."""
    halves = sizes >> 1
    starts = np.concatenate(([0], np.cumsum(halves)[:-1]))
    lefts = np.repeat(offsets - 2 * starts, halves) + 2 * np.arange(int(halves.sum()))
    return join(level[lefts], level[lefts + 1]), starts, halves
