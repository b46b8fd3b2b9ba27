"""The holdout of a range, without the whole range in memory where it is large."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloop.domain.feature_rows import (
    LABEL_COLUMN,
    FeatureRows,
    Floats,
    Indices,
    RowLayout,
    holdout_size,
    read_rows,
    split_by_time,
)

LARGE_ROWS = 5_000_000
Read = Callable[[list[str]], Iterator[pa.RecordBatch]]


def read_holdout(
    read: Read, layout: RowLayout, newest_rows: int, fraction: float
) -> tuple[FeatureRows, Indices, Floats]:
    """Rows, the holdout among them in its total order, and the labels of the whole range.

    A large range is read twice: first event times and labels, then only rows from about the holdout's start on.

    Args:
        read: the range's rows, the columns it is given.
        layout: which columns.
        newest_rows: rows of the range.
        fraction: of them held out.

    Raises:
        LakeloopError: there are more or fewer rows.
    """
    labels: Floats | None = None
    keep = None
    if newest_rows > LARGE_ROWS:
        time = layout.order[0]
        head = pa.Table.from_batches(read([time, LABEL_COLUMN]))
        labels = head.column(LABEL_COLUMN).to_numpy().astype(np.float32)
        keep = _from_on(time, _start(head.column(time), holdout_size(newest_rows, fraction)))
        del head
    rows = read_rows(read(layout.columns), layout, newest_rows, keep)
    everything = rows.total_order()
    size = holdout_size(newest_rows, fraction)
    newest = np.ones(len(rows), dtype=np.bool_)
    if labels is None:
        return rows, split_by_time(everything, newest, fraction).holdout, rows.labels
    return rows, everything[len(everything) - size :], labels


def _start(times: pa.ChunkedArray, size: int) -> pa.Scalar:
    """Event time of the first of the last `size` rows, nulls last."""
    place = len(times) - size
    known = times.combine_chunks()  # partition_nth_indices looks at chunks one by one
    return known[pc.partition_nth_indices(known, pivot=place)[place].as_py()]


def _from_on(column: str, start: pa.Scalar) -> Callable[[pa.RecordBatch], pa.Array]:
    def keep(batch: pa.RecordBatch) -> pa.Array:
        times = batch.column(column)
        unknown = pc.is_null(times)
        return unknown if not start.is_valid else pc.or_kleene(unknown, pc.greater_equal(times, start))

    return keep
