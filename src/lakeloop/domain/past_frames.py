"""What a row sees of its past: a frame, the stretch [low, high) of its entity's rows, found by bisection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakeloop.domain.past_folds import Floats
from lakeloop.domain.past_order import Positions, changes

Columns = dict[str, pa.Array]


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
