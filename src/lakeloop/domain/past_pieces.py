"""Rows in memory distributed to pieces of whole entities, each small enough for a core's own cache. Pure.

A partition by a hash of the entity (Manegold, Boncz, Kersten, "Optimizing main-memory join on modern hardware", 2002),
a block of rows at a time, so that neither where rows come from nor where they go is spread over all of memory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakeloop.domain.past_columns import AT, PastColumns
from lakeloop.domain.past_folds import Floats
from lakeloop.domain.past_order import Positions, entity_codes, placed_rows

PIECE_ROWS = 65_536
"""Rows of a piece, about."""
BLOCK_ROWS = 262_144
"""Rows that are distributed at once."""
_MOST_PIECES, _GOLDEN, _HALF = 2**16 - 1, np.uint64(0x9E3779B97F4A7C15), np.uint64(32)


@dataclass(frozen=True)
class Pieces:
    """Rows piece by piece, those of each in their own order: piece i from `starts[i]` on.

    After the last piece come, from the last start on, rows without a place in time or without an entity.

    codes: of their entities.
    at: their times in microseconds.
    numbers: hidden column -> values, NaN where unknown.
    places: their positions among all rows, ascending within a piece.
    where: by a row's position, where it is among these.
    """

    starts: Positions
    codes: Positions
    at: Positions
    numbers: dict[str, Floats]
    places: Positions
    where: Positions


@dataclass(frozen=True)
class _Block:
    """Neighbouring rows from position `start` on: in which order they go to the pieces, how many to each."""

    start: int
    rows: pa.Table
    codes: Positions
    order: Positions
    counts: Positions


def distributed(rows: pa.Table, columns: PastColumns, pool: ThreadPoolExecutor) -> Pieces:
    """All rows, about as many entities in each piece.

    Args:
        rows: the hidden columns, in any order.
        columns: says what those are.
        pool: that distributes the blocks.
    """
    count, entity = rows.num_rows, list(columns.entity)
    codes = entity_codes([rows.column(name) for name in entity])
    pieces = min(max(1, round(count / PIECE_ROWS)), _MOST_PIECES)
    starts = range(0, max(count, 1), BLOCK_ROWS)
    blocks = list(pool.map(lambda start: _block(start, rows, entity, codes, pieces), starts))
    counts = np.stack([block.counts for block in blocks], axis=1)
    begins = np.cumsum(counts).reshape(counts.shape) - counts
    numbers = {name: np.empty(count) for name in columns.values if name not in columns.texts}
    whole = [np.empty(count, np.int64) for _ in range(4)]
    found = Pieces(begins[:, 0], whole[0], whole[1], numbers, whole[2], whole[3])
    list(pool.map(lambda block, to: _put(block, to, found), blocks, begins.T))
    return found


def _block(start: int, rows: pa.Table, entity: list[str], codes: Positions, pieces: int) -> _Block:
    rows, codes = rows.slice(start, BLOCK_ROWS), codes[start : start + BLOCK_ROWS]
    spread = codes.astype(np.uint64) * _GOLDEN >> _HALF
    piece = (spread * np.uint64(pieces) >> _HALF).astype(np.uint16)
    piece[~placed_rows(rows, entity)] = pieces
    order = np.argsort(piece, kind="stable")
    return _Block(start, rows, codes, order, np.bincount(piece, minlength=pieces + 1))


def _put(block: _Block, begins: Positions, into: Pieces) -> None:
    """Write a block's rows to where the pieces have room for them: of piece i from `begins[i]` on."""
    order = block.order
    before = np.cumsum(block.counts) - block.counts
    to = np.arange(len(order)) + np.repeat(begins - before, block.counts)
    into.codes[to] = block.codes[order]
    into.at[to] = block.rows.column(AT).fill_null(0).to_numpy()[order]
    for name, values in into.numbers.items():
        values[to] = block.rows.column(name).fill_null(np.nan).to_numpy()[order]
    into.places[to] = order + block.start
    into.where[block.start : block.start + len(order)][order] = to
