"""The rows of a synthetic batch, in any pieces: a row depends on (seed, batch number, its number) alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import special

from lakeloop.domain.batch import Plants
from lakeloop.domain.errors import UserError
from lakeloop.domain.synthetic import DRAWN, DrawnColumn, Sequence, SyntheticColumn, SyntheticSource, Time
from lakeloop.domain.use_case import UseCase
from lakeloop.generation.distributions import quantiles
from lakeloop.generation.expressions import SQL_TYPES, evaluate
from lakeloop.generation.plants import check_plants, duplicated, with_faults
from lakeloop.generation.streams import Floats, uniforms

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_ROW = "_row_of_batch"
_LARGEST_ENTITY_SPAN = 50_000_000


@dataclass(frozen=True)
class Part:
    """Rows start .. start + count - 1 of batch `number`, which has `total` rows."""

    number: int
    total: int
    start: int
    count: int
    plants: Plants = field(default_factory=Plants)


@dataclass
class _Drawing:
    """Columns of one part as they come to be; `scores` are kept for correlations."""

    source: SyntheticSource
    types: dict[str, str]
    part: Part
    rows: pa.Table
    scores: dict[str, Floats] = field(default_factory=dict)


def generate_rows(use_case: UseCase, part: Part) -> pa.Table:
    """The part's rows, columns and types as in `table.columns`.

    Raises:
        UserError: an expression fails, or a plant cannot be planted in this use case.
    """
    source = synthetic_source(use_case)
    check_plants(use_case, source, part.plants)
    extra = 1 if part.plants.duplicates and part.start else 0  # a duplicate copies the row before it
    whole = Part(part.number, part.total, part.start - extra, part.count + extra, part.plants)
    drawing = _draw_columns(use_case, source, whole)
    labels = _labels(use_case, source, whole, _probabilities(source, drawing))
    rows = _as_declared(use_case, drawing.rows.append_column(use_case.label.column, labels))
    rows = duplicated(rows, source.seed, part, extra)
    return with_faults(rows, use_case, source.seed, part)


def probabilities(use_case: UseCase, part: Part) -> Floats:
    """The true probability of the positive label, row by row, before duplicates and faults are planted."""
    source = synthetic_source(use_case)
    return _probabilities(source, _draw_columns(use_case, source, part))


def synthetic_source(use_case: UseCase) -> SyntheticSource:
    """The use case's source.

    Raises:
        UserError: it is of another kind.
    """
    if isinstance(use_case.source, SyntheticSource):
        return use_case.source
    raise UserError(f"its kind is {use_case.source.kind!r}, not synthetic", where=f"{use_case.name}: source")


def check_expressions(use_case: UseCase) -> None:
    """Make a few rows, so that a wrong expression is known before anything is submitted.

    Raises:
        UserError: an expression does not work; names its place.
    """
    generate_rows(use_case, Part(number=1, total=8, start=0, count=8))


def _draw_columns(use_case: UseCase, source: SyntheticSource, part: Part) -> _Drawing:
    numbers = pa.table({_ROW: np.arange(part.start, part.start + part.count)})
    drawing = _Drawing(source, dict(use_case.table.columns), part, numbers)
    for column in source.columns:
        drawing.rows = drawing.rows.append_column(column.name, _column(drawing, column))
    return drawing


def _column(drawing: _Drawing, column: SyntheticColumn) -> pa.Array | pa.ChunkedArray:
    if isinstance(column, Sequence):
        return pa.array(_sequence(column, drawing.part))
    if isinstance(column, Time):
        return pa.array(_times(column, drawing.part))
    if isinstance(column, DRAWN):
        return _drawn(drawing, column)
    sql_type = SQL_TYPES.get(drawing.types.get(column.name, ""), "")
    return evaluate(column.expression, sql_type, drawing.rows, f"source.columns: {column.name}")


def _sequence(column: Sequence, part: Part) -> npt.NDArray[np.int64]:
    if part.total > column.stride:
        raise UserError(
            f"{part.total} rows, but the ids of a batch have room for {column.stride}",
            where=f"source.columns: {column.name}",
            fix="raise its stride",
        )
    first = column.start + part.number * column.stride + part.start
    return np.arange(first, first + part.count, dtype=np.int64)


def _times(column: Time, part: Part) -> npt.NDArray[np.datetime64]:
    """UTC instants without a zone, in microseconds; batch 1 begins at the column's start."""
    span = column.batch_seconds * 1_000_000
    zone = column.start.tzinfo or dt.UTC
    first = np.datetime64(column.start.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None), "us")
    rows = np.arange(part.start, part.start + part.count, dtype=np.int64)
    offsets = (rows * (span // part.total)) + rows * (span % part.total) // part.total
    return np.asarray(
        first + (part.number - 1) * np.timedelta64(span, "us") + offsets.astype("timedelta64[us]")
    )


def _drawn(drawing: _Drawing, column: DrawnColumn) -> pa.Array:
    scores = special.ndtri(_uniform(drawing, column, "value"))
    if column.correlation is not None:
        rho = column.correlation.value
        scores = rho * drawing.scores[column.correlation.column] + np.sqrt(1 - rho * rho) * scores
    scores = scores + drawing.part.plants.drift.get(column.name, 0.0)
    drawing.scores[column.name] = scores
    missing = None
    if column.nulls:
        missing = _uniform(drawing, column, "null") < column.nulls
    return pa.array(quantiles(column, scores), mask=missing)


def _uniform(drawing: _Drawing, column: DrawnColumn, purpose: str) -> Floats:
    part, seed = drawing.part, drawing.source.seed
    if column.entity is None:
        return uniforms((seed, purpose, column.name, part.number), part.start, part.count)
    entities = _entities(drawing, column.entity)
    low, high = int(entities.min()), int(entities.max())
    if low < 0 or high - low > _LARGEST_ENTITY_SPAN:
        raise UserError(
            f"its values reach from {low} to {high}",
            where=f"source.columns: {column.entity}",
            fix=f"an entity is a whole number from 0, at most {_LARGEST_ENTITY_SPAN} of them",
        )
    return uniforms((seed, purpose, column.name), low, high - low + 1)[entities - low]


def _entities(drawing: _Drawing, name: str) -> npt.NDArray[np.int64]:
    values = drawing.rows.column(name)
    if not pa.types.is_integer(values.type) or values.null_count:
        raise UserError(
            f"an entity is a whole number in every row, not {values.type}", where=f"source.columns: {name}"
        )
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _probabilities(source: SyntheticSource, drawing: _Drawing) -> Floats:
    hidden = [c.name for c in source.columns if c.hidden]
    visible = drawing.rows.drop_columns(hidden)
    logits = evaluate(source.label.logit, "DOUBLE", visible, "source.label.logit")
    if logits.null_count:
        raise UserError(
            "it is null in some rows", where="source.label.logit", fix="use coalesce(column, value)"
        )
    return np.asarray(special.expit(logits.to_numpy() + drawing.part.plants.label_shift))


def _labels(use_case: UseCase, source: SyntheticSource, part: Part, chances: Floats) -> pa.Array:
    drawn = uniforms((source.seed, "label", use_case.label.column, part.number), part.start, part.count)
    values = pa.array([source.label.negative, source.label.positive])
    return values.take(pa.array((drawn < chances).astype(np.int8)))


def arrow_schema(use_case: UseCase) -> pa.Schema:
    """The declared columns in Arrow's types."""
    return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in use_case.table.columns.items()])


def _as_declared(use_case: UseCase, rows: pa.Table) -> pa.Table:
    declared = use_case.table.columns
    return pa.table({name: _cast(rows.column(name), kind, name) for name, kind in declared.items()})


def _cast(values: pa.ChunkedArray, kind: str, name: str) -> pa.ChunkedArray:
    target: Any = ARROW_TYPES[kind]
    try:
        if pa.types.is_floating(values.type) and pa.types.is_integer(target):
            rounded = np.rint(values.to_numpy())
            return pa.chunked_array([pa.array(rounded, type=target, mask=_missing(values), safe=True)])
        return values.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(
            f"generated values do not fit {kind}: {error}", where=f"table.columns: {name}"
        ) from error


def _missing(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(values.is_null().to_numpy())
