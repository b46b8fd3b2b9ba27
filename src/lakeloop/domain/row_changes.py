"""Which rows and columns two readings of the same training set differ in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.feature_rows import FeatureRows, Indices
from lakeloop.domain.replay import ColumnChange

EXAMPLES = 3
Which = Literal["newest", "earlier"]


def row_changes(
    which: Which, before: FeatureRows, now: FeatureRows, features: Sequence[str]
) -> tuple[ColumnChange, ...]:
    """Differences of one range's rows, by event time and key.

    Args:
        which: the range, for the answer.
        before: rows as the feature table holds them.
        now: rows as they were computed again.
        features: whose values are compared, beside the label.
    """
    keys = [_rows(rows) for rows in (before, now)]
    lost, extra = _without(keys[0], keys[1]), _without(keys[1], keys[0])
    if lost.num_rows or extra.num_rows:
        counted = f"{lost.num_rows} are gone, {extra.num_rows} are new"
        first = _shown(lost if lost.num_rows else extra)
        return (
            ColumnChange(
                rows=which,
                column="*",
                different=lost.num_rows + extra.num_rows,
                example=f"{counted}: {first}",
            ),
        )
    if len(before) != len(now):
        return (ColumnChange(rows=which, column="*", different=abs(len(before) - len(now))),)
    orders = before.total_order(), now.total_order()
    found = []
    for name, values, others in _columns(before, now, orders, features):
        unlike = np.flatnonzero(_unlike(values, others))
        if len(unlike):
            at = int(unlike[0])
            example = (
                f"{_shown(keys[0].take(pa.array(orders[0][at : at + 1])))}: {values[at]} and {others[at]}"
            )
            found.append(ColumnChange(rows=which, column=name, different=len(unlike), example=example))
    return tuple(found)


def _columns(
    before: FeatureRows, now: FeatureRows, orders: tuple[Indices, Indices], features: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """Name and both sides' values, each in its total order."""
    yield "_label", before.labels[orders[0]], now.labels[orders[1]]
    for name in features:
        sides = zip((before, now), orders, strict=True)
        yield name, *(_values(rows, order, name) for rows, order in sides)


def _values(rows: FeatureRows, order: Indices, name: str) -> Any:
    if name in rows.texts:
        return np.array(rows.texts[name].take(pa.array(order)).to_pylist(), dtype=object)
    return rows.numbers[order, rows.numeric.index(name)]


def _unlike(values: Any, others: Any) -> Any:
    different = values != others
    return different if values.dtype == object else different & ~(np.isnan(values) & np.isnan(others))


def _rows(rows: FeatureRows) -> pa.Table:
    names = dict.fromkeys(rows.order_columns.column_names)
    return pa.table({name: rows.order_columns.column(name) for name in names})


def _without(rows: pa.Table, others: pa.Table) -> pa.Table:
    keys = rows.column_names
    texts = [
        pa.table({name: pc.fill_null(table.column(name).cast(pa.string()), "\x00") for name in keys})
        for table in (rows, others)
    ]
    return texts[0].join(texts[1], keys=keys, join_type="left anti")


def _shown(keys: pa.Table) -> str:
    return "; ".join(", ".join(map(str, row.values())) for row in keys.slice(0, EXAMPLES).to_pylist())
