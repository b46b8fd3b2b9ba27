"""Faults planted into a synthetic batch: seeded, and of exactly the asked-for share of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.batch import Plants
from lakeloop.domain.errors import UserError
from lakeloop.domain.synthetic import DRAWN, SyntheticSource
from lakeloop.domain.use_case import Bounds, UseCase
from lakeloop.generation.streams import uniforms

if TYPE_CHECKING:
    from lakeloop.generation.rows import Part

_MOST_DUPLICATES = 1 / 3
_NOT_ALLOWED = "__not_allowed__"


def planted_rows(seed: int, purpose: str, share: float, part: Part) -> npt.NDArray[np.bool_]:
    """Which of the part's rows are planted: exactly round(share * total) of the whole batch's, evenly spread.

    Row r is planted when (wanted * r + offset) // total grows there (Bresenham's line). Neighbours are planted
    together only above a share of one half, and row 0 only when all are.
    """
    total, wanted = part.total, round(share * part.total)
    chance = float(uniforms((seed, "plant", purpose, part.number), 0, 1)[0])
    offset = wanted + int(chance * (total - wanted))
    reached = np.arange(part.start, part.start + part.count, dtype=np.int64) * wanted + offset
    planted: npt.NDArray[np.bool_] = reached // total != (reached - wanted) // total
    return planted


def check_plants(use_case: UseCase, source: SyntheticSource, plants: Plants) -> None:
    """Refuse a plant that this use case has no place for.

    Raises:
        UserError: names the plant.
    """
    drawn = {c.name for c in source.columns if isinstance(c, DRAWN)}
    for name in plants.drift:
        if name not in drawn:
            raise UserError(
                f"{name!r} is not a drawn column", where="plants.drift", fix=f"one of {sorted(drawn)}"
            )
    for kind, shares in (("nulls", plants.nulls), ("out_of_range", plants.out_of_range)):
        for name, share in shares.items():
            if name not in use_case.table.columns or not 0 <= share <= 1:
                raise UserError(
                    f"{name!r}: {share}", where=f"plants.{kind}", fix="COLUMN of the table: share 0 to 1"
                )
    if plants.duplicates > _MOST_DUPLICATES:
        raise UserError(
            f"{plants.duplicates} is too large a share", where="plants.duplicates", fix="at most 0.33"
        )
    for name in plants.out_of_range:
        outside(use_case, name)


def outside(use_case: UseCase, column: str) -> Any:
    """A value that breaks the column's declared range or allowed values.

    Raises:
        UserError: the use case declares neither.
    """
    if column in use_case.expectations.allowed:
        return _NOT_ALLOWED
    bounds = use_case.expectations.ranges.get(column, Bounds())
    if bounds.max is not None:
        return bounds.max + abs(bounds.max) + 1
    if bounds.min is not None:
        return bounds.min - abs(bounds.min) - 1
    raise UserError(
        f"{column!r} has no declared range", where="plants.out_of_range", fix="declare expectations.ranges"
    )


def duplicated(rows: pa.Table, seed: int, part: Part, extra: int) -> pa.Table:
    """The part's rows, planted ones a copy of the row before; `extra` leading rows are for copying only."""
    if not part.plants.duplicates:
        return rows
    copies = planted_rows(seed, "duplicates", part.plants.duplicates, part)
    positions = np.arange(part.count, dtype=np.int64) + extra - copies
    return rows.take(pa.array(positions))


def with_faults(rows: pa.Table, use_case: UseCase, seed: int, part: Part) -> pa.Table:
    """The rows with out-of-range values, then nulls."""
    for name, share in part.plants.out_of_range.items():
        value = pa.scalar(outside(use_case, name)).cast(rows.schema.field(name).type)
        rows = _replaced(rows, name, planted_rows(seed, f"out_of_range {name}", share, part), value)
    for name, share in part.plants.nulls.items():
        missing = pa.scalar(None, rows.schema.field(name).type)
        rows = _replaced(rows, name, planted_rows(seed, f"nulls {name}", share, part), missing)
    return rows


def _replaced(rows: pa.Table, name: str, where: npt.NDArray[np.bool_], value: pa.Scalar) -> pa.Table:
    column = pc.if_else(pa.array(where), value, rows.column(name))
    return rows.set_column(rows.schema.get_field_index(name), name, column)
