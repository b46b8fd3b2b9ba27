"""Latest rows by DuckDB over Arrow streams."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import duckdb

from lakeloop.domain.online import EntityFeatures, entity_id
from lakeloop.ports.latest_features import LatestBy

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_LIMIT = "1GB"
ROWS_A_FETCH = 10_000


class DuckdbLatestFeatures:
    """Implements `lakeloop.ports.latest_features.LatestFeatures`."""

    def of(
        self,
        features: Iterator[pa.RecordBatch],
        source: Iterator[pa.RecordBatch] | None,
        by: LatestBy,
    ) -> Iterator[tuple[str, EntityFeatures]]:
        """Entities with the features of their latest row."""
        with tempfile.TemporaryDirectory(prefix="lakeloop-") as spill:
            settings = {"memory_limit": MEMORY_LIMIT, "temp_directory": spill}
            with duckdb.connect(":memory:", config=settings) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.register("feature_rows", _reader(features))
                if source is not None:
                    connection.register("source_rows", _reader(source))
                # By Arrow: DuckDB itself gives instants to Python by a library that is not here.
                query = latest_sql(by, joined=source is not None)
                for batch in connection.sql(query).to_arrow_reader(ROWS_A_FETCH):
                    rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                    yield from (pair for row in rows if (pair := _entity(row, by)) is not None)


def latest_sql(by: LatestBy, *, joined: bool) -> str:
    """Entity columns, event time and features of the latest row of each entity."""
    entity = [f"{'s' if joined else 'f'}.{_quoted(c)}" for c in by.entity]
    on = " AND ".join(f"f.{_quoted(c)} IS NOT DISTINCT FROM s.{_quoted(c)}" for c in by.order)
    tables = f"feature_rows f JOIN source_rows s ON {on}" if joined else "feature_rows f"
    wanted = [*entity, f"f.{_quoted(by.event_time)}", *(f"f.{_quoted(c)}" for c in by.features)]
    newest = ", ".join(f"f.{_quoted(c)} DESC NULLS LAST" for c in by.order)
    return (
        f"SELECT {', '.join(wanted)} FROM {tables} "  # noqa: S608 - quoted names of the use case
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(entity)} ORDER BY {newest}) = 1"
    )


def _entity(row: Sequence[Any], by: LatestBy) -> tuple[str, EntityFeatures] | None:
    count = len(by.entity)
    known = entity_id(row[:count])
    if known is None:
        return None
    values = {name: _plain(value) for name, value in zip(by.features, row[count + 1 :], strict=True)}
    at = row[count]
    return known, EntityFeatures(event_time=None if at is None else at.isoformat(), features=values)


def _plain(value: Any) -> float | str | None:
    if isinstance(value, bool | int | float):
        number = float(value)
        return number if math.isfinite(number) else None
    return None if value is None else str(value)


def _reader(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    import pyarrow as pa

    first = next(batches)
    return pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
