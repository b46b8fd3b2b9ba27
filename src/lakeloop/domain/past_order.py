"""The order in which as-of aggregates look at rows, the same for every engine: by entity, time, key, values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.dialects import MICROSECONDS_A_DAY
from lakeloop.domain.past_columns import AT, PastColumns

Positions = np.ndarray[tuple[int], np.dtype[np.int64]]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
DIGIT_BITS = 16
_LARGEST_SPAN, _LARGEST = 2**31, np.iinfo(np.int64).max


class Ties:
    """What decides between rows of one entity and time: their keys, then their values.

    Args:
        rows: the hidden columns.
        columns: says what those are.
        start: rows before this one are never compared.
    """

    def __init__(self, rows: pa.Table, columns: PastColumns, start: int = 0) -> None:
        key, self._names = rows.column(next(iter(columns.keys))), (*columns.keys, *columns.values)
        plain = _is_plain_integer(key)
        self.none = plain and _ascends(key.slice(start))
        if not self.none:
            self._rows = rows.select(self._names).combine_chunks()
            self._key = np.asarray(key.to_numpy(), dtype=np.int64) if plain else None

    def settle(self, order: Positions, begins: Mask) -> None:
        """Bring the rows of each stretch, which begins where `begins` is true, into their order."""
        group, at = np.cumsum(begins, dtype=np.int64), _tied(begins)
        if self._key is not None:
            chosen = order[at]
            by = np.lexsort((self._key[chosen], group[at]))
            order[at] = chosen = chosen[by]
            at = at[_tied(changes(group[at]) | changes(self._key[chosen]))]
        if not len(at):
            return
        chosen = order[at]
        within = self._rows.take(pa.array(chosen)).append_column("_group", pa.array(group[at]))
        keys = [(name, "ascending", "at_start") for name in ("_group", *self._names)]
        order[at] = chosen[pc.sort_indices(within, sort_keys=keys).to_numpy()]


def ordered(codes: Positions, times: Positions, places: Positions, ties: Ties) -> Positions:
    """Positions of rows by code, time, key and values.

    Args:
        codes: of the rows' entities [rows].
        times: in microseconds [rows].
        places: where they are among the rows that `ties` knows, ascending [rows].
        ties: of all rows.
    """
    order, begins = _by_code_and_time(codes, times)
    if begins.all() or ties.none:
        return order
    settled = places[order]
    ties.settle(settled, begins)
    return np.searchsorted(places, settled)


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


def by_digits(*keys: Positions) -> Positions:
    """Positions in the order of the first key, then the next one, and so on; of equal rows the earlier first.

    From the last digit to the first, each of 16 bits (a radix sort): numpy counts such numbers instead of comparing
    them, so that each digit costs the same a row, however many there are.
    """
    order = np.arange(len(keys[0]))
    for key in reversed(keys):
        above = (key - key.min(initial=_LARGEST)).view(np.uint64)
        for shift in range(0, int(above.max(initial=0)).bit_length(), DIGIT_BITS):
            digit = (above >> np.uint64(shift)).astype(np.uint16)
            order = order[np.argsort(digit[order], kind="stable")]
    return order


def _by_code_and_time(codes: Positions, times: Positions) -> tuple[Positions, Mask]:
    """Positions by code and time, of equal ones the earlier first; and where another code or time begins."""
    days = times // MICROSECONDS_A_DAY
    if (days * MICROSECONDS_A_DAY == times).all():
        times = days
    order = by_digits(codes, times)
    return order, changes(codes[order]) | changes(times[order])


def _tied(begins: Mask) -> Positions:
    """Positions of rows that have a neighbour in their own group."""
    tied = ~begins
    tied[:-1] |= ~begins[1:]
    return np.flatnonzero(tied)


def _ascends(column: pa.ChunkedArray) -> bool:
    """Whether each number is larger than the one before."""
    last = None
    for chunk in column.chunks:
        numbers = chunk.to_numpy()
        if not len(numbers):
            continue
        if (last is not None and numbers[0] <= last) or not (numbers[1:] > numbers[:-1]).all():
            return False
        last = numbers[-1]
    return True


def joined(column: pa.ChunkedArray) -> pa.Array:
    """A column's values in one piece."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def placed_rows(rows: pa.RecordBatch | pa.Table, entity: list[str]) -> Mask:
    """Rows that have a place: a known time and a known entity."""
    placed = np.ones(rows.num_rows, bool)
    for name in (*entity, AT):
        if rows.column(name).null_count:
            placed &= np.asarray(pc.is_valid(rows.column(name)))
    return placed


def _is_plain_integer(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type)) and not column.null_count
