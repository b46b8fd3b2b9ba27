"""The order in which as-of aggregates look at rows, the same for every engine: by entity, time, key, values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.dialects import MICROSECONDS_A_DAY
from lakeloop.domain.past_columns import PastColumns

Positions = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
_LARGEST_SPAN = 2**31


def ordered(
    rows: pa.Table, columns: PastColumns, codes: Positions, times: Positions, places: Positions
) -> Positions:
    """`places` of rows, by code, time, key and values.

    Args:
        rows: the hidden columns.
        columns: says what those are.
        codes: of the rows' entities [rows].
        times: in microseconds [rows].
        places: which rows, ascending.
    """
    order, begins = _by_code_and_time(codes[places], times[places])
    order = places[order]
    if not begins.all():
        _settle_ties(rows, columns, order, begins, places)
    return order


def entity_codes(columns: Sequence[pa.ChunkedArray]) -> Positions:
    """Equal numbers for equal entities, null being one; of several columns together."""
    codes: Positions | None = None
    for column in columns:
        if len(columns) == 1 and _is_plain_integer(column):
            values = np.asarray(column.to_numpy(), dtype=np.int64)
            if not len(values) or int(values.max()) - int(values.min()) < _LARGEST_SPAN:
                return values
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        indices = encoded.indices.to_numpy().astype(np.int64)
        if codes is not None:
            pair = codes * (len(encoded.dictionary) + 1) + indices
            indices = np.unique(pair, return_inverse=True)[1].astype(np.int64)
        codes = indices
    return np.zeros(0, np.int64) if codes is None else codes


def changes(values: Positions) -> Mask:
    """Where in a row of values another one begins; the first one does."""
    begins = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins


def _by_code_and_time(codes: Positions, times: Positions) -> tuple[Positions, Mask]:
    """Positions by code and time, of equal ones the earlier first; and where another code or time begins.

    Whole days, codes and positions that fit into one number together are sorted as such numbers: ten times faster.
    """
    if not len(codes):
        return np.zeros(0, np.int64), np.zeros(0, bool)
    days = times // MICROSECONDS_A_DAY
    low, first, bits = int(codes.min()), int(days.min()), len(codes).bit_length()
    span = int(days.max()) - first + 1
    fit = (int(codes.max()) - low + 1) * span << bits < 2**63
    if not fit or (days * MICROSECONDS_A_DAY != times).any():
        order = np.lexsort((times, codes))
        return order, changes(codes[order]) | changes(times[order])
    packed = (codes - low) * span
    packed += days - first
    packed <<= bits
    packed |= np.arange(len(codes))
    packed.sort()
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    return order, changes(packed)


def _settle_ties(
    rows: pa.Table, columns: PastColumns, order: Positions, begins: Mask, places: Positions
) -> None:
    """Bring rows of one entity and time into the order of their keys, then values; changes `order`."""
    group, at = np.cumsum(begins, dtype=np.int64), _tied(begins)
    key = rows.column(next(iter(columns.keys)))
    if _is_plain_integer(key):
        numbers = np.asarray(key.to_numpy(), dtype=np.int64)
        if (np.diff(numbers[places]) > 0).all():
            return
        chosen = order[at]
        by = np.lexsort((numbers[chosen], group[at]))
        order[at] = chosen = chosen[by]
        at = at[_tied(changes(group[at]) | changes(numbers[chosen]))]
    if not len(at):
        return
    chosen = order[at]
    within = rows.select([*columns.keys, *columns.values]).take(pa.array(chosen))
    within = within.append_column("_group", pa.array(group[at]))
    names = ("_group", *columns.keys, *columns.values)
    by = pc.sort_indices(within, sort_keys=[(name, "ascending", "at_start") for name in names])
    order[at] = chosen[by.to_numpy()]


def _tied(begins: Mask) -> Positions:
    """Positions of rows that have a neighbour in their own group."""
    tied = ~begins
    tied[:-1] |= ~begins[1:]
    return np.flatnonzero(tied)


def _is_plain_integer(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type)) and not column.null_count
