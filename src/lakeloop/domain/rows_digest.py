"""Content of training rows in a few hex digits a column: equal digests, equal rows, however they were read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lakeloop.domain.base import Frozen

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeloop.domain.feature_rows import FeatureRows, Indices

LABEL = "_label"
_CHUNK_ROWS = 262_144
_DIGITS = 16


class RowsDigest(Frozen):
    """How many rows, and per column a SHA-256 (its first 16 hex digits) over its values in the total order."""

    rows: int
    columns: dict[str, str]


def rows_digest(rows: FeatureRows, chosen: Indices, features: Sequence[str]) -> RowsDigest:
    """The digest of some rows.

    Numbers count as the booster sees them, float32; keys, times and texts as they are.

    Args:
        rows: feature rows.
        chosen: which of them, in their total order.
        features: whose columns count, beside event time, key and label.
    """
    columns = dict(zip(rows.order_columns.column_names, rows.order_columns.columns, strict=True))
    columns |= {name: rows.texts[name] for name in features if name in rows.texts}
    digests = {name: _of(_arrow(column, part) for part in _parts(chosen)) for name, column in columns.items()}
    digests[LABEL] = _of([rows.labels[part].tobytes()] for part in _parts(chosen))
    for index, name in enumerate(rows.numeric):
        if name in features:
            # A feature may be the key or the event time as well: then it counts twice, as both.
            label = f"{name} (feature)" if name in digests else name
            digests[label] = _of([rows.numbers[part, index].tobytes()] for part in _parts(chosen))
    return RowsDigest(rows=len(chosen), columns=digests)


def _parts(chosen: Indices) -> Iterable[Indices]:
    return (chosen[at : at + _CHUNK_ROWS] for at in range(0, len(chosen), _CHUNK_ROWS))


def _of(parts: Iterable[Iterable[Any]]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for piece in part:
            digest.update(piece)
    return digest.hexdigest()[:_DIGITS]


def _arrow(column: pa.ChunkedArray, part: Indices) -> Iterable[bytes]:
    """Length of each value (-1 for null) and its UTF-8 bytes, or which are null and the 64 bits of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values: Any = column.take(pa.array(part)).combine_chunks()
    values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    yield np.packbits(pc.is_null(values).to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_temporal(values.type) or pa.types.is_integer(values.type):
        yield pc.fill_null(_integers(values), 0).to_numpy().astype(np.int64).tobytes()
    elif pa.types.is_floating(values.type):
        yield pc.fill_null(values, 0.0).to_numpy().astype(np.float64).tobytes()
    else:
        texts = pc.fill_null(values.cast(pa.string()), "")
        yield pc.binary_length(texts).to_numpy().astype(np.int64).tobytes()
        yield "".join(texts.to_pylist()).encode()


def _integers(values: Any) -> Any:
    import pyarrow as pa

    if not pa.types.is_temporal(values.type):
        return values
    return values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64()).cast(pa.int64())  # noqa: PLR2004
