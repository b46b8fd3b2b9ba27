"""As-of features of rows that are all in memory: distributed to pieces of whole entities, sorted as numbers. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakeloop.domain.past import computed
from lakeloop.domain.past_columns import BOTH, LOOKS, ROLE, SEEN, PastColumns
from lakeloop.domain.past_frames import Columns, Seen
from lakeloop.domain.past_order import Positions, Ties, changes, joined, ordered
from lakeloop.domain.past_pieces import Pieces, distributed

BATCH_ROWS = 65_536
_THREADS = min(4, os.cpu_count() or 1)


def past_of(looking: pa.Table, columns: PastColumns, seen: pa.Table | None = None) -> Columns:
    """Features of rows in memory, by name, in the rows' own order.

    Args:
        looking: the hidden columns of the rows that look back, in any order.
        columns: says what to compute.
        seen: those of the rows that are seen; None: the looking ones are.
    """
    names = [n for n in columns.names if n != ROLE]
    rows = looking.select(names)
    if seen is not None:
        rows = pa.concat_tables([rows, seen.select(names)])
    with ThreadPoolExecutor(_THREADS) as pool:
        pieces = distributed(rows, columns, pool)
        split = None if seen is None else looking.num_rows
        texts = {name: joined(rows.column(name)) for name in columns.texts}
        look_back = _LookBack(columns, pieces, split, Ties(rows, columns, split or 0), texts)
        return look_back.features(looking.num_rows, pool)


def with_past_at_once(
    batches: Iterator[pa.RecordBatch], columns: PastColumns, keep: list[str]
) -> Iterator[pa.RecordBatch]:
    """`past_stream.with_past` of rows in any order, all in memory: those that look back, in their order."""
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


@dataclass(frozen=True)
class _LookBack:
    """Computes features piece by piece; with `split`, the rows from that position on are seen, and those before look.

    `ties` and `texts` are of all rows, by position.
    """

    columns: PastColumns
    pieces: Pieces
    split: int | None
    ties: Ties
    texts: Columns

    def features(self, count: int, pool: ThreadPoolExecutor) -> Columns:
        """Of the first `count` rows, by name."""
        rows, features = len(self.pieces.places), self.columns.features
        found: dict[str, _Numbers | _Texts] = {
            f.name: _Texts(rows) if f.value in self.texts else _Numbers(rows) for f in features
        }

        def piece(number: int) -> None:
            looks, values_by_name = self._piece(number)
            for name, values in values_by_name.items():
                found[name].put(looks, values)

        list(pool.map(piece, range(len(self.pieces.starts) - 1)))
        where = self.pieces.where[:count]
        return dict(zip(found, pool.map(lambda feature: feature.at(where), found.values()), strict=True))

    def _piece(self, number: int) -> tuple[Positions, Columns]:
        """Where the piece's looking rows are among those of all pieces, and their features."""
        mine = slice(*self.pieces.starts[number : number + 2])
        codes, at, places = (a[mine] for a in (self.pieces.codes, self.pieces.at, self.pieces.places))
        split = 0 if self.split is None else int(np.searchsorted(places, self.split))
        order = ordered(codes[split:], at[split:], places[split:], self.ties) + split
        begins = np.flatnonzero(changes(codes[order]))
        starts = np.concatenate((begins, [len(order)] * 2))
        numbers = {name: values[mine][order] for name, values in self.pieces.numbers.items()}
        texts = {name: values.take(pa.array(places[order])) for name, values in self.texts.items()}
        looks, entity = order, np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        if self.split is not None:
            looks, entity = np.arange(split), _found(codes[:split], codes[order[begins]])
        seen = Seen(at[order], starts, numbers, texts)
        features = self.columns.features
        return looks + mine.start, computed(features, seen, entity, at[looks], all_look=self.split is None)


def _found(wanted: Positions, known: Positions) -> Positions:
    """Where each of the wanted codes is among the known ones, which ascend; after the last one where it is not."""
    place = np.searchsorted(known, wanted)
    inside = np.append(known, 0)[place]
    return np.where((place < len(known)) & (inside == wanted), place, len(known))


class _Numbers:
    """A feature's values by the rows' place in the pieces; null where none was put."""

    def __init__(self, rows: int) -> None:
        self._values, self._unknown = np.zeros(rows), np.ones(rows, bool)

    def put(self, places: Positions, values: pa.Array) -> None:
        self._values[places] = values.fill_null(0.0).to_numpy()
        self._unknown[places] = values.is_null().to_numpy(zero_copy_only=False)

    def at(self, where: Positions) -> pa.Array:
        return pa.array(self._values.take(where), mask=self._unknown.take(where))


class _Texts:
    """The same of texts."""

    def __init__(self, rows: int) -> None:
        self._rows, self._put = rows, list[tuple[Positions, pa.Array]]()

    def put(self, places: Positions, values: pa.Array) -> None:
        self._put.append((places, values))

    def at(self, where: Positions) -> pa.Array:
        place = np.full(self._rows, -1)
        places, values = zip(*self._put, strict=True)
        place[np.concatenate(places)] = np.arange(sum(map(len, places)))
        place = place.take(where)
        return pa.concat_arrays(values).take(pa.array(place, mask=place < 0))
